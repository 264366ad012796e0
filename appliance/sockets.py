"""Listening sockets that a parent made: sd_listen_fds(3), by systemd or `launch`.

The parent binds as root and says who may connect; the process that serves needs no
right to the folder where the socket lies.
"""

from __future__ import annotations

import fcntl
import grp
import os
import socket
from pathlib import Path

FIRST = 3
ABOVE = 100  # descriptors that no passed one lands on
BACKLOG = 1024


def listen(path: Path, group: str, mode: int = 0o660) -> socket.socket:
    """A listening Unix socket at `path` that root and `group` may connect to."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777)  # closed until it has its group
    try:
        made.bind(str(path))
    finally:
        os.umask(before)
    os.chown(path, 0, grp.getgrnam(group).gr_gid)
    path.chmod(mode)
    made.listen(BACKLOG)
    return made


def pass_on(made: list[socket.socket]) -> None:
    """Lay sockets where the program that this process becomes looks for them."""
    away = [fcntl.fcntl(link, fcntl.F_DUPFD_CLOEXEC, ABOVE) for link in made]
    for number, descriptor in enumerate(away, FIRST):
        os.dup2(descriptor, number)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.environ["LISTEN_FDS"] = str(len(made))


def inherited() -> list[socket.socket]:
    """The sockets passed to this process; none where it was started by hand."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_PID")
    return [socket.socket(fileno=FIRST + number) for number in range(count)]
