"""By which names browsers may call the node."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin import hosts
from appliance.config import HttpSettings, Settings, load
from appliance.problems import Problem


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 192.0.2.1\nsearch fritz.box Example.org.\n")
    monkeypatch.setattr(hosts, "RESOLV_CONF", file)
    monkeypatch.setattr(hosts.socket, "gethostname", lambda: "Cupboard")


def configured(*names: str) -> Settings:
    return Settings(http=HttpSettings(host_names=list(names)))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:8080",
        "203.0.113.9",
        "[::1]:8443",
        "[2001:db8::5]",
        "[::ffff:127.0.0.1]",
        "cupboard:8443",
        "cupboard.local",
        "cupboard.fritz.box",
        "cupboard.example.org.",
        "agents.example.com",
    ],
)
def test_addresses_and_own_names_are_the_nodes(host: str) -> None:
    assert hosts.is_ours(host, configured("Agents.Example.com"))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "cupboard.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "x.agents.example.com",
        "fritz.box",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost:8080:80",
        "localhost,evil.example",
        "[localhost]",
        "::1",
        "[::1",
        ".",
        "..",
        "",
    ],
)
def test_all_else_is_not(host: str) -> None:
    assert not hosts.is_ours(host, configured("agents.example.com"))


@given(st.text())
def test_whatever_is_sent_has_an_answer(host: str) -> None:
    assert hosts.is_ours(host, Settings()) in (True, False)


def test_a_machine_without_resolv_conf_has_its_own_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hosts, "RESOLV_CONF", tmp_path / "none")
    assert hosts.names(Settings()) == {"localhost", "cupboard", "cupboard.local"}


@pytest.mark.parametrize("name", ["https://a.example", "a.example:8443", "*.example"])
def test_a_setting_that_is_no_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FORMATION_HTTP__HOST_NAMES", f'["{name}"]')
    with pytest.raises(Problem, match=r"http\.host_names\.0"):
        load()
