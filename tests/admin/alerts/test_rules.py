"""Rules: what the node comes with, and what operators may make of them."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.admin.alerts import rules, runbooks
from appliance.config import Settings
from appliance.problems import Invalid, NotFound

MINE = {
    "title": "Many tasks",
    "signal": "tasks",
    "condition": "above",
    "value": "100",
    "severity": "info",
}


def test_every_rule_of_the_node_is_valid_and_has_its_runbook() -> None:
    for rule in rules.DEFAULTS.values():
        assert rules.wrong(rule) == {}, rule
        assert rule.runbook in runbooks.names(), rule


def test_every_runbook_is_one_of_a_rule_and_says_what_to_do() -> None:
    used = {rule.runbook for rule in rules.DEFAULTS.values()}
    assert used == set(runbooks.names())
    for name in runbooks.names():
        text = runbooks.text(name)
        assert text.startswith("# ")
        assert "\n## Look\n" in text
        assert "\n## Do\n" in text


def test_a_rule_is_changed_and_goes_back_to_how_it_came(settings: Settings) -> None:
    rules.put("disk-nearly-full", {"value": 80, "enabled": False})
    assert rules.get("disk-nearly-full").value == "80"
    assert rules.get("disk-nearly-full").title == "The disk is nearly full"
    rules.forget("disk-nearly-full")
    assert rules.get("disk-nearly-full") == rules.DEFAULTS["disk-nearly-full"]


def test_a_rule_of_ones_own_comes_and_goes(settings: Settings) -> None:
    rules.put("many-tasks", MINE)
    assert rules.get("many-tasks").signal == "tasks"
    rules.forget("many-tasks")
    with pytest.raises(NotFound):
        rules.get("many-tasks")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"signal": "luck"}, "signal"),
        ({"signal": ["tasks"]}, "signal"),
        ({"condition": "is"}, "condition"),
        ({"signal": "service"}, "condition"),
        ({"signal": "service", "condition": "is", "value": " , "}, "value"),
        ({"value": "many"}, "value"),
        ({"value": "nan"}, "value"),
        ({"value": True}, "value"),
        ({"for_s": -1}, "for_s"),
        ({"for_s": 10**9}, "for_s"),
        ({"for_s": True}, "for_s"),
        ({"for_s": "60"}, "for_s"),
        ({"severity": "dire"}, "severity"),
        ({"title": ""}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"runbook": "../secrets"}, "runbook"),
        ({"enabled": "yes"}, "enabled"),
        ({"name": "other"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field_and_changes_nothing(
    settings: Settings, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        rules.put("many-tasks", {**MINE, **change})
    assert field in caught.value.members["errors"]
    assert "many-tasks" not in rules.every()


@pytest.mark.parametrize("name", ["", "Big", "new", "a b", "../x", "x" * 41])
def test_a_wrong_name_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(Invalid, match="name"):
        rules.put(name, MINE)


@pytest.mark.parametrize("name", ["nothing", "../operations", "", "disk-full.md"])
def test_only_runbooks_are_read(name: str) -> None:
    with pytest.raises(NotFound):
        runbooks.text(name)


def test_a_runbook_shows_html_as_text() -> None:
    assert "&lt;script&gt;" in runbooks.as_html("# A\n\n<script>alert()</script>\n")
