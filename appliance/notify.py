"""What systemd is told of this process: sd_notify(3).

`begin` takes systemd's address out of the environment, so that no child (nor gunicorn's
master, which serves nothing yet) speaks for the process. Elsewhere nobody listens, and
nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

from appliance import clock


@dataclass
class _Line:
    address: str = ""
    said: str = ""


_line = _Line()


def begin(environ: MutableMapping[str, str] = os.environ) -> None:
    """Learn who listens; call it before anything else starts."""
    _line.address = environ.pop("NOTIFY_SOCKET", "")
    environ.pop("WATCHDOG_PID", None)
    environ.pop("WATCHDOG_USEC", None)


def ready(status: str = "") -> None:
    """It serves, or serves again after `reloading`."""
    _send("READY=1", *_status(status))


def reloading() -> None:
    _send("RELOADING=1", f"MONOTONIC_USEC={int(clock.monotonic() * 1e6)}")


def stopping() -> None:
    _send("STOPPING=1")


def alive(status: str = "") -> None:
    """Feed the watchdog; whoever stays silent for `WatchdogSec=` is started anew."""
    _send("WATCHDOG=1", *_status(status))


def _status(text: str) -> tuple[str, ...]:
    """A line for `systemctl status`, where it is a new one."""
    if not text or text == _line.said:
        return ()
    _line.said = text
    return (f"STATUS={text.replace(chr(10), ' ')}",)


def _send(*lines: str) -> None:
    if not _line.address:
        return
    address = _line.address
    if address.startswith("@"):  # an abstract one: unix(7)
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link,
        contextlib.suppress(OSError),
    ):
        link.sendto("\n".join(lines).encode(), address)
