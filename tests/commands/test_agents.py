"""`form agent` against the real app."""

from __future__ import annotations

import pytest

from appliance import operations, state
from appliance.commands import agents
from tests.commands.test_commands import agent as agent  # noqa: PLC0414
from tests.commands.test_commands import form
from tests.market.agents import Agent


@pytest.fixture
def followed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    record = state.find("agent", "ada/echo")
    assert record
    state.put("agent", "ada/echo", {**record.body, "description": "says\x1b[31m it"})
    for version in ("0.0.1", "0.1.0"):
        links = {"build_id": "b" * 64, "image": "a" * 64, "formfile": {}}
        body = {"agent": "ada/echo", "version": version, "created": "2026", **links}
        state.put("version", f"ada/echo@{version}", body)
    found: list[str] = []
    monkeypatch.setattr(agents, "follow", found.append)
    return found


def test_the_catalogue(followed: list[str]) -> None:
    listed = form("agent", "list").output
    assert listed.split() == ["ada/echo", "0.1.0", "says", "it"]
    shown = form("agent", "show", "echo").output
    for text in ("ada/echo 0.1.0", "version  0.0.1", "instance i1", "says it"):
        assert text in shown


def test_a_deletion_says_what_goes_and_asks(followed: list[str]) -> None:
    asked = form("agent", "delete", "echo", stdin="n\n")
    assert asked.exit_code == 1
    assert "versions   0.0.1, 0.1.0" in asked.output
    assert followed == []
    assert form("agent", "delete", "echo", "--yes", "--volumes").exit_code == 0
    made = operations.get(followed[0])
    assert (made.kind, made.subject) == ("delete-agent", "ada/echo")
    assert '"volumes": true' in made.params


def test_a_version_is_deleted_by_name(followed: list[str]) -> None:
    refused = form("agent", "delete-version", "echo", "0.1.0")
    assert refused.exit_code == 1
    assert "latest version" in refused.output
    assert form("agent", "delete-version", "ada/echo", "0.0.1").exit_code == 0
    assert operations.get(followed[0]).subject == "ada/echo@0.0.1"
