"""Who listens on this machine; looking takes no port from anybody.

Root sees every program; others see that somebody listens, and what formation-jobs has
seen of the node's own processes.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

import psutil

from appliance.admin import processes
from appliance.admin.ports import Port
from appliance.config import Settings
from appliance.problems import Unavailable

OURS = "the node itself"
ANY = ("", "0.0.0.0", "::")


@dataclass(frozen=True)
class Listener:
    """`pid` is 0 where it is not for us to see."""

    kind: str
    host: str
    number: int
    pid: int = 0

    @property
    def place(self) -> str:
        """As the report of the processes writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.number}"

    def is_at(self, port: Port) -> bool:
        """Whether it is where the port should be, or in its way."""
        same = (self.kind, self.number) == (port.kind, port.number)
        return same and overlap(self.host, port.host)


def overlap(one: str, other: str) -> bool:
    """Whether not both can be listened at. Who is at all IPv6 addresses mostly is at
    all of IPv4 too."""
    return one in ANY or other in ANY or ip_address(one) == ip_address(other)


def listeners() -> list[Listener]:
    """All sockets of this machine that wait for somebody."""
    found = []
    for link in psutil.net_connections("inet"):
        kind = "tcp" if link.type == socket.SOCK_STREAM else "udp"
        waits = link.status == "LISTEN" if kind == "tcp" else not link.raddr
        if link.laddr and waits:
            found.append(Listener(kind, link.laddr.ip, link.laddr.port, link.pid or 0))
    return found


def at(port: Port, found: Iterable[Listener]) -> Listener | None:
    return next((one for one in found if one.is_at(port)), None)


def holder(settings: Settings, listener: Listener) -> str:
    """OURS, or who it is in words."""
    with contextlib.suppress(Unavailable):
        if is_ours(listener, processes.report(settings)):
            return OURS
    if not listener.pid:
        return "another program"
    try:
        return f"{psutil.Process(listener.pid).name()} (process {listener.pid})"
    except psutil.Error:
        return f"process {listener.pid}"


def is_ours(listener: Listener, report: processes.Document) -> bool:
    """Whether a process of the report listens there. Pure."""
    return any(
        (link["kind"], link["local"]) == (listener.kind, listener.place)
        for process in report["processes"]
        for link in process["connections"]
    )
