"""Calling an agent in a VM through the node's own front door, and going back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .conftest import ROOT, Node, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
SETUP = """
[node]
name = "cellar"
[account]
name = "ada"
password = "correct horse battery"
"""
WORDS = {"input": {"text": "one two three"}, "parameters": {"pause_s": 2}}
AGENT = "/api/v1/market/agents/ada/stream"


@pytest.fixture(scope="module")
def caller(node: Node) -> Iterator[httpx.Client]:
    """A program with a token, on the port that Caddy serves."""
    (node.folder / "setup.toml").write_text(SETUP)
    node.form("setup", "--from", str(node.folder / "setup.toml"))
    until(lambda: node.form("status").count("running") == 7, 60, "all services run")
    node.form("deploy", str(ROOT / "examples/stream"))
    token = node.form("token", "create", "calls", "--scope", "tasks").strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=node.url, headers=headers, timeout=60) as client:
        yield client


def test_a_stream_passes_through_word_by_word(caller: httpx.Client) -> None:
    accept = {"Accept": "text/event-stream"}
    path = f"{AGENT}/run_task"
    with caller.stream("POST", path, json=WORDS, headers=accept) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and "one" in line:
                break
        working = caller.get("/api/v1/market/tasks?state=working").json()["tasks"]
    assert len(working) == 1, "the first word came only with the last"


def test_a_body_that_is_too_large_is_refused_without_a_length(
    caller: httpx.Client,
) -> None:
    pieces = (b" " * 65536 for _ in range(64))
    answer = caller.post(f"{AGENT}/run_task", content=pieces)
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


def test_tasks_survive_a_gateway_that_is_killed(
    node: Node, caller: httpx.Client
) -> None:
    made = caller.post(f"{AGENT}/submit_task", json=WORDS).json()
    until(
        lambda: "working" in node.form("tasks", "show", made["id"]), 20, "it is at work"
    )
    node.kill("gateway")
    show = ("tasks", "show", made["id"])  # refused while the marketplace is away
    until(lambda: '"completed"' in node.form(*show, check=False), 60, "it ended")
    shown = json.loads(node.form("tasks", "show", made["id"]))
    assert shown["output"] == {"text": "one two three"}
    assert [a["outcome"] for a in shown["attempts"]] == ["gateway-lost", "completed"]


def test_an_older_version_comes_back_without_a_build(
    node: Node, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples/stream", tmp_path / "stream")
    with (tmp_path / "stream/agent.py").open("a") as file:
        file.write("# newer\n")
    formfile = tmp_path / "stream/Formfile"
    lines = [x for x in formfile.read_text().splitlines() if "VERSION" not in x]
    formfile.write_text("\n".join([*lines, ""]))
    node.form("deploy", str(tmp_path / "stream"))
    versions = node.form("vmm", "list").split()[2]
    assert versions == "0.1.1"
    node.form("redeploy", "stream", "0.1.0")
    assert node.form("vmm", "list").split()[2] == "0.1.0"
    assert "hi" in node.form("run", "stream", "--stream", "--input", '{"text":"hi"}')
    assert "agent started" in node.form("vmm", "console", "stream")
