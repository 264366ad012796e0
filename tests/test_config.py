"""Settings: defaults, file, environment, and the older network's variables."""

from __future__ import annotations

import pytest

from appliance import config
from appliance.config import Settings
from appliance.older import ALIASES, MEANINGLESS, translate
from appliance.problems import Problem


def test_environment_beats_the_older_name_beats_the_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.config_file().write_text("[dns]\nport = 1000\nttl = 7\n")
    assert config.load().dns.port == 1000
    monkeypatch.setenv("DNS_PORT", "2000")
    assert config.load().dns.port == 2000
    monkeypatch.setenv("FORMATION_DNS__PORT", "3000")
    assert config.load().dns.port == 3000
    assert config.load().dns.ttl == 7


def test_a_wrong_setting_is_named(settings: Settings) -> None:
    config.config_file().write_text("[dns]\nport = 0\ncolour = 1\n")
    with pytest.raises(Problem, match=r"dns\.port.*dns\.colour"):
        config.load()


def test_a_file_that_is_not_toml_is_refused(settings: Settings) -> None:
    config.config_file().write_text('{"json": true}')
    with pytest.raises(Problem, match="not a TOML file"):
        config.load()


@pytest.mark.parametrize("variable", sorted(MEANINGLESS))
def test_a_meaningless_variable_is_named_with_what_to_use(variable: str) -> None:
    assert variable in translate({variable: "x"}).notes[0]


def test_every_alias_leads_to_a_setting() -> None:
    for section, key in ALIASES.values():
        assert key in type(getattr(Settings(), section)).model_fields


def test_every_setting_has_its_meaning() -> None:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        for key, inner in getattr(section, "model_fields", {}).items():
            assert inner.description, f"{name}.{key}"


def test_a_wrong_file_keeps_nobody_from_the_node(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose page or commands mend it; what the environment says still counts."""
    config.config_file().write_text("[dns]\nport = 'many'\n")
    config.settings.cache_clear()
    assert config.usable().run_dir == settings.run_dir
    assert config.usable().dns.port == 5453
    monkeypatch.setenv("FORMATION_DNS__PORT", "many")
    with pytest.raises(Problem, match=r"dns\.port"):
        config.usable()
