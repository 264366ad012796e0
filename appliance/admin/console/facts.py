"""What the console says of the node, looked up by a child that ends at once.

`python -m appliance.admin.console.facts` prints it as JSON: the console itself stays
small that way. How services are it reads of their own files.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

SILENT_S = 30.0
LOOK_S = 60.0


@dataclass(frozen=True)
class Service:
    """A service in the words of its process; `file` is where they are."""

    title: str
    file: str
    state: str = "waiting"
    reason: str = ""


@dataclass(frozen=True)
class Facts:
    """`trouble` says why the rest is not known; `watched` are files whose change makes
    all of it old."""

    host: str = ""
    name: str = ""
    port: int = 8443
    mdns: bool = False
    fingerprint: str = ""
    claim: str = ""
    is_set_up: bool = False
    has_shell: bool = False
    said: str = ""
    trouble: str = ""
    addresses: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    watched: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """By what a browser in the same network reaches the node, the best first."""
        named = (f"{self.host}.local",) if self.mdns and self.host else ()
        return (*map(bracketed, self.addresses), *named)

    @property
    def urls(self) -> tuple[str, ...]:
        port = "" if self.port == 443 else f":{self.port}"
        return tuple(f"https://{host}{port}" for host in self.hosts)


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def gather() -> Facts:
    """All but addresses and states, for who may read it: root."""
    from appliance import config
    from appliance.plain import harmless
    from appliance.problems import Problem

    try:
        return of_node(config.usable())
    except (Problem, OSError) as error:
        return Facts(trouble=harmless(str(error)))


def of_node(settings: Any) -> Facts:
    import socket

    from appliance.admin import setup
    from appliance.admin.caddy import certificate_files, fingerprint
    from appliance.admin.seed import said_file
    from appliance.appliance_image import is_appliance
    from appliance.config import config_file
    from appliance.service import chosen, chosen_file, services, status_file

    certificate, claim = certificate_files(settings)[0], setup.claim_file(settings)
    seed, is_set_up = said_file(settings), setup.is_done(settings)
    wanted = chosen(settings) or frozenset()
    trouble = "" if certificate.exists() else "The node has not started yet."
    return Facts(
        host=socket.gethostname(),
        port=settings.http.https_port,
        mdns=is_appliance(),
        fingerprint=fingerprint(settings) if certificate.exists() else "",
        claim=claim.read_text().strip() if claim.exists() and not is_set_up else "",
        is_set_up=is_set_up,
        has_shell=settings.admin.console_shell,
        said=seed.read_text()[:600] if seed.exists() else "",
        trouble=trouble,
        services=tuple(
            Service(service.title, str(status_file(settings, service)))
            for service in services().values()
            if service.name in wanted
        ),
        watched=(
            *map(str, (certificate, claim, chosen_file(settings), config_file(), seed)),
            "/etc/hostname",
        ),
    )


def as_json(facts: Facts) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(facts))


def from_json(text: str) -> Facts:
    found = json.loads(text)
    found["services"] = tuple(Service(**item) for item in found["services"])
    for name in ("addresses", "watched"):
        found[name] = tuple(found[name])
    return Facts(**found)


def ask_child() -> Facts:
    """Facts from a child of the same release; what goes wrong is their trouble."""
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LOOK_S, check=False
        )
        return from_json(done.stdout)
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return Facts(trouble="The node cannot be looked at; the log says more.")


def with_states(facts: Facts, now: float) -> Facts:
    """The same with how services are now."""
    return replace(facts, services=tuple(state_of(s, now) for s in facts.services))


def state_of(service: Service, now: float) -> Service:
    """As its process wrote it last; failed when it fell silent."""
    try:
        found: Mapping[str, Any] = json.loads(Path(service.file).read_text())
        state, beat = str(found["state"]), float(found["beat"])
        reason = str(found.get("reason", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return replace(service, state="waiting", reason="has not started yet")
    if now - beat > SILENT_S:
        return replace(service, state="failed", reason=f"silent for {now - beat:.0f} s")
    return replace(service, state=state, reason=reason)


def stamps(files: Iterable[str]) -> tuple[int, ...]:
    """When each was changed; 0 where there is none."""
    return tuple(_stamp(Path(file)) for file in files)


def _stamp(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def addresses() -> tuple[str, ...]:
    """This machine's on its networks: IPv4 first, none of loopback, of a link alone,
    or of guests' and builds' bridges."""
    import psutil

    found = psutil.net_if_addrs().items()
    cards = [(name, link.address) for name, links in found for link in links]
    return chosen_of(cards)


def chosen_of(cards: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Of (interface, address) those that people can use. Pure."""
    usable = []
    for name, text in cards:
        if name.startswith(("formation", "fbuild", "vnet", "virbr", "lo")):
            continue
        try:
            address = ip_address(text)
        except ValueError:  # a hardware address, or one of a link alone: fe80::1%eth0
            continue
        if not address.is_loopback and not address.is_link_local:
            usable.append(address)
    return tuple(map(str, sorted(usable, key=lambda a: (a.version, int(a)))))


def look(before: Facts, seen: tuple[int, ...]) -> tuple[Facts, tuple[int, ...]]:
    """The facts now: of a child only where a file that it reads was changed."""
    now = stamps(before.watched)
    found = before if before.watched and now == seen else ask_child()
    if found is not before:
        now = stamps(found.watched)
    found = replace(found, addresses=addresses())
    return with_states(found, time.time()), now


if __name__ == "__main__":
    print(as_json(gather()))
