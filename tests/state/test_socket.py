"""The state socket against peers that are slow, silent, many or talk nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from peewee import OperationalError

from appliance import state
from appliance.config import Settings
from appliance.problems import EngineGone, Problem
from appliance.state import server as servers
from appliance.state.server import LONGEST, StateServer, parse, read_line


def connect(settings: Settings) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(10)
    link.connect(str(settings.run_dir / "state.sock"))
    return link


def said(link: socket.socket) -> Any:
    with link.makefile("rb") as stream:
        line = stream.readline()
    return json.loads(line) if line else None


def test_silent_peers_hold_nobody_up(settings: Settings, records: StateServer) -> None:
    with ExitStack() as stack:
        for number in range(20):
            link = stack.enter_context(connect(settings))
            link.sendall(b'{"kind"' if number % 2 else b"")
        assert state.put("node", "a", {}).seq == 1


def test_a_silent_peer_is_ended_with_a_sentence(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[float] = []

    def impatient(link: socket.socket) -> bytes:
        ends.append(servers.PATIENCE_S)
        return read_line(link, 0.05)

    monkeypatch.setattr(servers, "read_line", impatient)
    with connect(settings) as link:
        link.sendall(b'{"kind": "node", "id"')
        assert said(link)["problem"]["status"] == 408
    assert ends


def test_a_peer_that_drips_gains_no_time() -> None:
    near, far = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.01):
            try:
                far.sendall(b" ")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    with near, far:
        thread.start()
        with pytest.raises(Problem, match="No whole line"):
            read_line(near, 0.2)
        ended.set()
        thread.join()


def test_half_a_line_changes_nothing(settings: Settings, records: StateServer) -> None:
    wish = json.dumps({"kind": "node", "id": "a", "body": {}}).encode()
    for half in (wish, wish[:20], b""):
        with connect(settings) as link:
            link.sendall(half)
            link.shutdown(socket.SHUT_WR)
            assert said(link) is None
    assert state.find("node", "a") is None


def test_a_line_without_end_is_refused(
    settings: Settings, records: StateServer
) -> None:
    with connect(settings) as link:
        link.sendall(b"x" * (LONGEST + 1))
        assert said(link)["problem"]["status"] == 413


def test_a_uid_has_so_many_connections_and_no_more(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECTIONS", 1)
    with connect(settings) as silent:
        silent.sendall(b"{")
        while not records._open:  # noqa: SLF001
            threading.Event().wait(0.01)
        with pytest.raises(EngineGone, match="too many"):
            state.put("node", "a", {})


@pytest.fixture
def cramped(
    records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    reasons: list[str] = []

    def fail(*of: Any, **named: Any) -> None:
        raise OperationalError(reasons[-1])

    monkeypatch.setattr(records._store, "write", fail)  # noqa: SLF001
    yield reasons


@pytest.mark.parametrize(
    ("reason", "kind", "waited_for"),
    [
        ("database is locked", "state-unavailable", True),
        ("database or disk is full", "disk-full", False),
    ],
)
def test_a_database_that_cannot_be_written_is_said(
    cramped: list[str], reason: str, kind: str, waited_for: bool
) -> None:
    cramped.append(reason)
    with pytest.raises(Problem, match="nothing was changed") as caught:
        state.put("node", "a", {})
    assert caught.value.name == kind
    assert isinstance(caught.value, EngineGone) is waited_for


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
WISHES = st.dictionaries(
    st.sampled_from(["kind", "id", "body", "deleted", "merge", "x"]),
    JSON | st.sampled_from(["node", "agent"]) | st.dictionaries(st.text(), JSON),
)


@hypothesis_settings(deadline=None)
@given(WISHES)
def test_any_wish_is_a_record_or_a_problem(wish: dict[str, Any]) -> None:
    try:
        found = parse(json.dumps(wish).encode())
    except Problem as problem:
        assert problem.status < 500
    else:
        assert isinstance(found["body"], dict)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"kind": "node", "id": "a", "body": ' + b'{"a":' * 50_000,
        b'{"kind": "node", "id": "a", "body": {"a": NaN}}',
        b'{"kind": "node", "id": "a", "body": {"a": 9007199254740993}}',
        b'{"kind": "node", "id": "a", "body": {"a": "\\ud800"}}',
        b'{"kind": "node", "id": "", "body": {}}',
        b'{"kind": "node", "id": "a\\u0000", "body": {}}',
        b"[1, 2]",
        b'"kind"',
    ],
)
def test_what_cannot_be_signed_is_refused(line: bytes) -> None:
    with pytest.raises(Problem):
        parse(line)
