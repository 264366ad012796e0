"""The names by which browsers may call this node.

A page of another site can make its own name resolve to the node's address and then
read what the node answers (DNS rebinding). It cannot change the name in `Host`, and
an address never is such a name: so addresses are taken, and the node's own names.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from appliance.config import Settings

RESOLV_CONF = Path("/etc/resolv.conf")
HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?")


def is_ours(host: str, settings: Settings) -> bool:
    """Whether what a `Host` header says means this node."""
    found = HOST.fullmatch(host.strip().lower())
    if found is None:
        return False
    name = (found["v6"] or found["name"]).removesuffix(".")
    return is_address(name) or name in names(settings)


def is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def names(settings: Settings) -> set[str]:
    """localhost, the machine's name, also in its own network's domains, and those of
    `http.host_names`."""
    own = socket.gethostname().lower().removesuffix(".")
    label = own.partition(".")[0]
    near = {f"{label}.{domain}" for domain in ("local", *search_domains())}
    chosen = {name.lower().removesuffix(".") for name in settings.http.host_names}
    return ({"localhost", own, label} | near | chosen) - {""}


def search_domains() -> tuple[str, ...]:
    try:
        lines = RESOLV_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(domains(lines))


def domains(lines: Iterable[str]) -> list[str]:
    """Those that resolv.conf(5) completes names with; the last line that says so."""
    found: list[str] = []
    for line in lines:
        word, *rest = line.split() or [""]
        if word in ("search", "domain"):
            found = [name.lower().strip(".") for name in rest]
    return [name for name in found if name]
