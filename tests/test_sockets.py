"""Sockets made by one program are served by the one that it becomes."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import sockets

BECOME = """
import os, sys
from pathlib import Path
from appliance import sockets
made = [sockets.listen(Path(p), "root") for p in sys.argv[2:]]
sockets.pass_on(made)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
SERVE = """
from appliance import sockets
for link in sockets.inherited():
    peer, _ = link.accept()
    peer.sendall(link.getsockname().encode())
    peer.close()
"""


def test_only_root_and_the_group_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with sockets.listen(path, "root"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    sockets.listen(path, "root").close()
    with sockets.listen(path, "root"), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))


def test_passed_sockets_keep_their_order_across_exec(tmp_path: Path) -> None:
    paths = [str(tmp_path / name) for name in ("a.sock", "b.sock", "c.sock")]
    with subprocess.Popen([sys.executable, "-c", BECOME, SERVE, *paths]) as child:
        for path in paths:
            assert hear(path) == path
        assert child.wait(30) == 0


def hear(path: str) -> str:
    """What the server at `path` says, once it is there."""
    while True:
        with socket.socket(socket.AF_UNIX) as peer:
            if peer.connect_ex(path) == 0:
                return peer.makefile().read()


def test_sockets_of_another_process_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert sockets.inherited() == []
