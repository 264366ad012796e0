"""The health check against guests that are well, slow, and hostile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from appliance.vmm import health
from appliance.vmm.health import probe_health


def serve(listener: socket.socket, answer: bytes, ended: threading.Event) -> None:
    """Answer with `answer`, then go on with it for ever where it ends in `…`."""
    drips = answer.endswith("…".encode())
    try:
        link, _ = listener.accept()
        with link:
            link.recv(4096)
            link.sendall(answer.removesuffix("…".encode()))
            while drips and not ended.wait(0.02):
                link.sendall(b"x")
    except OSError:
        return


@pytest.fixture
def guest(request: pytest.FixtureRequest) -> Iterator[int]:
    listener, ended = socket.create_server(("127.0.0.1", 0)), threading.Event()
    thread = threading.Thread(target=serve, args=(listener, request.param, ended))
    thread.start()
    yield int(listener.getsockname()[1])
    ended.set()
    listener.close()
    thread.join()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n"


@pytest.mark.parametrize(
    ("guest", "verdict", "why"),
    [
        (OK, True, ""),
        (MOVED, True, ""),
        ("HTTP/1.1 200 OK\r\n\r\n…".encode(), True, ""),
        (b"HTTP/1.1 503 No\r\n\r\n", False, "answers 503"),
        (b"rubbish\r\n\r\n", False, "BadStatusLine"),
        (b"", False, "without response"),
        ("HTTP/1.1 200 OK\r\nX: …".encode(), False, "no answer within"),
    ],
    indirect=["guest"],
)
def test_verdicts(
    guest: int, verdict: bool, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.5)
    ok, said = probe_health("127.0.0.1", guest, "/health")
    assert ok is verdict
    assert why in said


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ok, why = probe_health("127.0.0.1", port, "/health")
    assert (ok, why) == (False, "GET /health: Connection refused")
