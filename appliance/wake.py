"""Processes wake each other by a Unix datagram; a slow poll is the safety net.

A lost datagram costs at most the poll's period, so nothing here is retried.
"""

from __future__ import annotations

import contextlib
import select
import socket
from pathlib import Path

PROCESSES = ("web", "gateway", "state", "dns", "jobs")


def address(run_dir: Path, process: str) -> Path:
    return run_dir / "wake" / f"{process}.sock"


def notify(run_dir: Path, process: str, topic: str = "") -> None:
    """Tell `process` that there is work; says nothing when it is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with contextlib.suppress(OSError):
            sender.sendto(topic.encode(), str(address(run_dir, process)))


def is_there(run_dir: Path, process: str) -> bool:
    """Whether the process waits to be woken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        return sender.connect_ex(str(address(run_dir, process))) == 0


class Waiter:
    """The receiving end of one process."""

    def __init__(self, run_dir: Path, process: str) -> None:
        self._path = address(run_dir, process)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._path.chmod(0o666)
        self._socket.setblocking(False)

    def wait(self, timeout: float) -> bool:
        """Block until woken (True) or `timeout` seconds are over (False)."""
        ready, _, _ = select.select([self._socket], [], [], timeout)
        if not ready:
            return False
        with contextlib.suppress(BlockingIOError):
            while True:  # many wishes, one round of work
                self._socket.recv(256)
        return True

    def poke(self) -> None:
        """End the present wait, also from a signal's handler."""
        with contextlib.suppress(OSError):
            self._socket.sendto(b"", str(self._path))

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)
