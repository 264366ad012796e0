"""A database locked for longer than anyone waits: it is said, and nothing is lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance import database, operations, schema, state
from appliance.admin import accounts, tokens
from appliance.config import Settings
from appliance.operations import Kind, Operation, Run, Step
from appliance.problems import Problem
from appliance.runner import Runner
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import create_app


@pytest.fixture
def node(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A node whose processes wait a twentieth of a second for a lock."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    schema.open_all(settings)
    return settings


def until(found: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(200):
        if found():
            return
        pause.wait(0.05)
    pytest.fail("it did not happen within 10 s")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    try:
        yield
    finally:
        other.execute("rollback")
        other.close()


def test_a_request_that_changes_something_says_it(
    node: Settings, records: StateServer
) -> None:
    choose(node, [])
    hashed = accounts.hash_password("correct horse battery")
    account = accounts.create("ada", hashed, ("operator",))
    token, _ = tokens.create(account, "t", ["admin"])
    bearer = {"Authorization": f"Bearer {token}"}
    client = create_app().test_client()
    with locked(node.data_dir / "node" / "node.db"):
        refused = client.post("/api/v1/pack/collect", headers=bearer)
        read = client.get("/api/v1/operations", headers=bearer)
    assert refused.status_code == 503
    assert refused.get_json()["type"] == "/problems/database-busy"
    assert "database is locked" in refused.get_json()["detail"]
    assert read.get_json() == {"operations": []}
    assert client.post("/api/v1/pack/collect", headers=bearer).status_code == 202


def test_an_operation_goes_on_when_the_lock_is_gone(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work(run: Run) -> None:
        begun.set()
        go_on.wait(10)
        run.log("one line")

    def end(run: Run) -> None:
        done.set()

    kind = Kind("work", (Step("work", "Work", work), Step("end", "End", end)))
    monkeypatch.setattr(operations, "kinds", lambda: {"work": kind})
    id_ = operations.submit("work", title="W", subject="", params={}, account="1")
    runner = Runner()
    assert runner.round() == 1
    assert begun.wait(10)
    with locked(node.data_dir / "node" / "node.db"):
        go_on.set()
        until(lambda: not runner._running)
        assert runner.round() == 0  # formation-jobs itself goes on
        assert operations.get(id_).state == "working"
    assert runner.round() == 1
    assert done.wait(10)
    runner.stop()
    until(lambda: operations.get(id_).state == "completed")
    assert operations.get(id_).state == "completed"
    assert [line for *_, line in operations.log_lines(id_)] == ["one line"]
    assert Operation.select().count() == 1


def test_a_record_is_refused_with_a_sentence_and_written_afterwards(
    node: Settings, records: StateServer
) -> None:
    state.put("agent", "ada/echo", {"latest": "0.1.0"})
    with locked(node.data_dir / "state" / "state.db"):
        with pytest.raises(Problem, match="nothing was changed") as why:
            state.put("agent", "ada/echo", {"latest": "0.2.0"})
        assert "database is locked" in why.value.detail
        assert state.find("agent", "ada/echo") is not None
    assert state.put("agent", "ada/echo", {"latest": "0.3.0"}).body["latest"] == "0.3.0"
