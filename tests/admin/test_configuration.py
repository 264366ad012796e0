"""The settings file: what it says, what a change makes of it, what is wrong with it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin import configuration
from appliance.admin.options import options, typed
from appliance.config import Settings
from appliance.problems import Invalid

FILE = '# the node in the cupboard\n[dns]\nttl = 30 # short\n\n[log]\nlevel = "debug"\n'


def test_every_setting_is_an_option_with_its_default() -> None:
    found = {name: option.default for name, option in options().items()}
    assert (found["dns.ttl"], found["data_dir"]) == ("5", "/var/lib/formation")
    assert len(found) > 50
    assert options()["dns.zone"].set_up
    assert options()["log.level"].choices == ("debug", "info", "warning", "error")
    assert (options()["dns.ttl"].least, options()["dns.ttl"].most) == (0, 86400)


def test_no_setting_is_itself_a_secret() -> None:
    """The file is readable for all: secrets are in files of root's that it names."""
    for name in options():
        last = name.rpartition(".")[2]
        secret = any(word in last for word in ("password", "secret", "passphrase"))
        assert not secret or last.endswith("_file"), name


def test_a_changed_value_keeps_comments_and_order() -> None:
    after = configuration.changed(FILE, {"dns.ttl": 60, "dns.port": 53})
    assert "# the node in the cupboard" in after
    assert "ttl = 60 # short" in after
    assert configuration.changed(after, {"dns.ttl": 30, "dns.port": None}) == FILE


def test_a_setting_of_a_new_section_and_one_without_any() -> None:
    after = configuration.changed(FILE, {"market.workers": 3, "data_dir": "/x"})
    found = tomllib.loads(after)
    assert (found["market"]["workers"], found["data_dir"]) == (3, "/x")
    assert found["dns"] == {"ttl": 30}


def test_an_unknown_setting_is_named_with_the_one_that_is_meant() -> None:
    with pytest.raises(Invalid, match=r"dns\.tll.*do you mean dns\.ttl"):
        configuration.changed(FILE, {"dns.tll": 1})
    wrong = configuration.errors("[dns]\ntll = 1\n")
    assert wrong == {"dns.tll": "There is no such setting (do you mean dns.ttl?)."}


def test_a_section_that_is_no_table_is_not_overwritten() -> None:
    with pytest.raises(Invalid, match="no table"):
        configuration.changed("dns = 5\n", {"dns.ttl": 1})


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("[dns]\nttl = -1", "dns.ttl", "greater than or equal to 0"),
        ('[dns]\nttl = "x"', "dns.ttl", "a whole number"),
        ('[dns]\nhost = "here"', "dns.host", "an IPv4 or IPv6 address"),
        ('[log]\nlevel = "loud"', "log.level", "'debug', 'info'"),
        ('[formnet]\nguest_access = ["10.0.0.1/8"]', "formnet.guest_access", "IPv4"),
        ('[node]\nwait_for = ["db"]', "node.wait_for", "host:port"),
        ("dns = 5", "dns", "valid dictionary"),
        ("[dns", "", "not TOML"),
    ],
)
def test_what_is_wrong_is_said_of_its_setting(text: str, name: str, said: str) -> None:
    assert said in configuration.errors(text)[name]


def test_the_environment_is_named_by_its_variable() -> None:
    environ = {
        "FORMATION_DNS__TTL": "9",
        "DNS_PORT": "53",
        "FORMATION_HTTP": '{"port": 81}',
    }
    found = {e.option.name: e for e in configuration.entries(FILE, environ)}
    assert (found["dns.ttl"].value, found["dns.ttl"].variable) == (
        "9",
        "FORMATION_DNS__TTL",
    )
    assert found["dns.port"].variable == "DNS_PORT"
    assert found["http.port"].variable == "FORMATION_HTTP"
    assert (found["log.level"].source, found["log.format"].source) == (
        "file",
        "default",
    )


def test_a_form_asks_only_for_what_it_shows_differently() -> None:
    shown = {e.option.name: e.value for e in configuration.entries(FILE, {})}
    assert configuration.typed_in(FILE, shown, {}) == {}
    form = shown | {"dns.ttl": "", "formnet.guest_access": "10.1.0.0/16\r\n10.2.0.0/16"}
    assert configuration.typed_in(FILE, form, {}) == {
        "dns.ttl": None,
        "formnet.guest_access": ["10.1.0.0/16", "10.2.0.0/16"],
    }
    held = {"FORMATION_DNS__TTL": "9"}
    assert "dns.ttl" not in configuration.typed_in(FILE, form, held)


def test_a_change_is_told_by_its_effect() -> None:
    after = configuration.changed(FILE, {"dns.ttl": None, "log.level": "debug"})
    assert [str(c) for c in configuration.changes(FILE, after)] == ["dns.ttl: 30 → 5"]
    assert "-ttl = 30 # short" in configuration.difference(FILE, after)


@given(st.sampled_from(sorted(options())), st.text(max_size=30))
def test_nothing_that_is_typed_breaks_the_file(name: str, text: str) -> None:
    """It becomes a right file, or one whose error names the setting."""
    wanted: dict[str, Any] = {name: typed(options()[name], text)}
    after = configuration.changed(FILE, wanted)
    assert "# the node in the cupboard" in after
    assert set(configuration.errors(after)) <= {name}


def test_what_is_right_is_right_for_the_processes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance import config

    config.config_file().write_text(configuration.changed(FILE, {"dns.ttl": 77}))
    assert config.load().dns.ttl == 77
