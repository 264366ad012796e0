"""Ends a connection of another process, as root (pidfd_getfd(2), shutdown(2)).

The process sees it end as if the other side had closed it; no kernel option is needed.
"""

from __future__ import annotations

import ctypes
import os
import socket

from appliance.problems import NotFound, Problem

PIDFD_GETFD = 438  # the same on every architecture


def sever(pid: int, descriptor: int, inode: int) -> None:
    """Shut the socket that `pid` has as `descriptor`; raises NotFound where that is
    another one by now, as of a connection that has ended."""
    with _taken(pid, descriptor, inode) as link:
        try:
            link.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            raise Problem(
                "connection-refused", f"It cannot be closed: {error.strerror}."
            ) from None


def _taken(pid: int, descriptor: int, inode: int) -> socket.socket:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        raise _ended() from None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        mine = libc.syscall(PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if mine < 0:
        raise _ended()
    if os.fstat(mine).st_ino != inode:
        os.close(mine)
        raise _ended()
    return socket.socket(fileno=mine)


def _ended() -> NotFound:
    return NotFound("connection-unknown", "This connection has ended already.")
