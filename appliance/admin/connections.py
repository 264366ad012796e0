"""What a process listens on and is connected to, and how one connection is closed.

A connection is known by the inode of its socket, which no other has while it lasts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from appliance import events, operations, supervision
from appliance.admin.programs import known, units
from appliance.config import settings
from appliance.operations import Kind, Run, Step
from appliance.problems import NotFound
from appliance.sever import sever

Document = dict[str, Any]
UNIX = Path("/proc/net/unix")
CONNECTED = "03"  # SS_CONNECTED of linux/net.h


def connections(process: psutil.Process) -> list[Document]:
    """By IP, and by named sockets of this machine; listening ones first."""
    found = [
        {
            "id": str(inode(process.pid, link.fd)),
            "pid": process.pid,
            "descriptor": link.fd,
            "kind": "tcp" if link.type == 1 else "udp",
            "local": _place(link.laddr),
            "remote": _place(link.raddr),
            "state": "listening" if link.status == "LISTEN" else link.status.lower(),
        }
        for link in process.net_connections("inet")
    ]
    found += unix(process)
    return sorted(found, key=lambda link: link["state"] != "listening")


def unix(process: psutil.Process) -> list[Document]:
    places, found = unix_places(UNIX.read_text()), []
    for link in process.net_connections("unix"):
        known_as = inode(process.pid, link.fd)
        if known_as in places:
            place, state = places[known_as]
            found.append(
                {
                    "id": str(known_as),
                    "pid": process.pid,
                    "descriptor": link.fd,
                    "kind": "unix",
                    "local": place,
                    "remote": "",
                    "state": state,
                }
            )
    return found


def unix_places(text: str) -> dict[int, tuple[str, str]]:
    """Path and state by inode, of /proc/net/unix; those without a path are left out."""
    rows = (line.split(maxsplit=7) for line in text.splitlines()[1:])
    return {
        int(row[6]): (row[7], "established" if row[5] == CONNECTED else "listening")
        for row in rows
        if len(row) == 8
    }


def inode(pid: int, descriptor: int) -> int:
    """Of the socket; 0 where it has gone."""
    try:
        return Path(f"/proc/{pid}/fd/{descriptor}").stat().st_ino
    except OSError:
        return 0


def _place(address: Any) -> str:
    if not address:
        return ""
    host = f"[{address.ip}]" if ":" in address.ip else address.ip
    return f"{host}:{address.port}"


def family(pid: int) -> list[psutil.Process]:
    """A process and its children; empty where it has ended."""
    try:
        root = psutil.Process(pid) if pid else None
        return [root, *root.children(recursive=True)] if root else []
    except psutil.Error:
        return []


def request(name: str, connection: str, account: str) -> str:
    """Queue its end; returns the operation's id. Raises NotFound."""
    known(settings(), name)
    return operations.submit(
        "connection-close",
        title=f"Closing a connection of formation-{name}",
        subject=name,
        params={"connection": connection},
        account=account,
    )


def close(run: Run) -> None:
    """Raises NotFound where it has ended by itself, or never was."""
    keeper = supervision.current(settings(), units(settings()))
    pid = next((kept.pid for kept in keeper.kept() if kept.name == run.subject), 0)
    link = find(pid, run.params["connection"])
    sever(link["pid"], link["descriptor"], int(link["id"]))
    text = " ".join(str(link[name]) for name in ("kind", "local", "remote"))
    run.log(f"closed {text}")
    events.happened(
        f"A connection of formation-{run.subject} was closed: {text}",
        service="admin",
        subject=run.subject,
    )


def find(pid: int, connection: str) -> Document:
    for process in family(pid):
        try:
            links = connections(process)
        except psutil.Error:
            continue
        for link in links:
            if link["id"] == connection and link["state"] != "listening":
                return link
    raise NotFound(
        "connection-unknown",
        "There is no such connection any more; what listens is not closed: stop its "
        "service instead.",
    )


CLOSE = Kind("connection-close", (Step("close", "Close it", close),), "operator")
