"""An account is erased on a whole node, and jobs is killed meanwhile: its agent goes on
as its heir's, and no file names it after."""

from __future__ import annotations

import json
import re

import pytest

from .conftest import ROOT, Node, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
NAME = "wilhelmina"
SETUP = f"""
[node]
name = "cellar"
[account]
name = "{NAME}"
password = "correct horse battery"
"""


def test_an_erased_accounts_agent_is_its_heirs_and_nothing_names_it(node: Node) -> None:
    setup = node.folder / "setup.toml"
    setup.write_text(SETUP)
    node.form("setup", "--from", str(setup))
    setup.unlink()
    until(lambda: node.form("status").count("running") == 7, 30, "all services run")
    node.form("deploy", str(ROOT / "examples/echo"))
    node.form("secret", "list", "echo")
    node.form("account", "create", "bea", "--role", "operator")
    exported = node.folder / "export.zip"
    node.form("account", "export", NAME, "--to", str(exported))
    assert exported.stat().st_mode & 0o777 == 0o600
    exported.unlink()
    said = node.form("account", "erase", NAME, "--hand-over-to", "bea", "--yes")
    assert "completed" in said or "Write the databases anew: done" in said
    found = json.loads(node.form("state", "show", "agent", "bea/echo"))
    assert found["body"]["owner_name"] == "bea"
    until(
        lambda: "healthy" in node.form("vmm", "list"),
        240,
        "it runs under its new owner",
    )
    answer = node.form("run", "bea/echo", "--input", '{"text": "hi"}')
    assert "hi" in answer
    assert node.dig("echo.bea.formation.internal", "+short").strip()
    assert not node.dig(f"echo.{NAME}.formation.internal", "+short").strip()
    for part in ("data/node", "data/state", "log"):
        for path in (node.folder / part).rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                places = [m.start() for m in re.finditer(NAME.encode(), text)]
                assert not places, (path, text[max(0, places[0] - 200) :][:400])
    assert "whole" in node.form("audit", "verify")
