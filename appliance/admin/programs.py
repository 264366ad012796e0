"""What runs on a node: each program, its user and its rights.

`form serve` starts them as is said here; the units in `systemd/` say the same, and a
test holds them to it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.launcher import MODULES
from appliance.layout import CADDY, DNS, READERS, STATE, WEB
from appliance.problems import NotFound
from appliance.supervision import SYSTEMD

LOW_PORTS = "net_bind_service"  # capabilities(7): ports below 1024


@dataclass(frozen=True)
class Program:
    """One supervised process; a lower priority starts earlier, stops later.

    `sockets` are (file name, group that may connect), made before it starts.
    `phrase` says that it opens keys, so it gets the pass phrase where one is set.
    `without` says what is missing while it does not run. One that may not be stopped is
    needed to start it again; `may_reload` says that it reads its settings at SIGHUP,
    `may_limit` that all it starts is its own.
    """

    name: str
    command: tuple[str, ...]
    priority: int
    user: str = "root"
    sockets: tuple[tuple[str, str], ...] = ()
    capability: str = ""
    phrase: bool = False
    stop_wait_s: int = 10
    title: str = ""
    without: str = ""
    may_stop: bool = True
    may_reload: bool = True
    may_limit: bool = True


def _ours(name: str) -> tuple[str, ...]:
    return sys.executable, "-m", *MODULES[name]


def _gunicorn(name: str, sockets: tuple[tuple[str, str], ...], **about: Any) -> Program:
    return Program(name, _ours(name), 30, WEB, sockets, **about)


def programs(settings: Settings) -> tuple[Program, ...]:
    """What runs, engines first; systemd has a libvirtd of its own."""
    ours = (_state(), _jobs(), _dns(), _web(settings), _gateway(), _caddy(settings))
    return ours if SYSTEMD.exists() else (_libvirtd(), *ours)


def _libvirtd() -> Program:
    file = Path(__file__).parents[1] / "vmm" / "engine.py"
    return Program(
        "libvirtd",
        (sys.executable, "-P", str(file)),  # without its package, which is 25 MB more
        10,
        stop_wait_s=20,
        title="libvirt",
        without="Machines go on, but none can be started or stopped.",
        may_reload=False,
        may_limit=False,
    )


def _state() -> Program:
    return Program(
        "state",
        _ours("state"),
        20,
        STATE,
        sockets=(("state.sock", READERS),),
        phrase=True,
        title="Records",
        without="Nothing can be changed; pages show what was.",
        may_stop=False,
    )


def _jobs() -> Program:
    return Program(
        "jobs",
        _ours("jobs"),
        25,
        stop_wait_s=60,
        title="Builds, machines, network",
        without="Operations wait, and machines go on unwatched.",
        may_stop=False,
    )


def _dns() -> Program:
    return Program(
        "dns",
        _ours("dns"),
        30,
        DNS,
        capability=LOW_PORTS,
        title="Names",
        without="No name is answered.",
    )


def _web(settings: Settings) -> Program:
    return _gunicorn(
        "web",
        (("web.sock", CADDY), ("cli.sock", settings.auth.operator_group)),
        title="Pages and API",
        without="Pages, API and the form command do not answer.",
        may_stop=False,
    )


def _gateway() -> Program:
    return _gunicorn(
        "gateway",
        (("gateway.sock", CADDY),),
        title="Task calls and live pages",
        without="Agents cannot be called, and pages do not update themselves.",
    )


def _caddy(settings: Settings) -> Program:
    file = str(settings.run_dir / "Caddyfile")
    return Program(
        "caddy",
        ("caddy", "run", "--config", file, "--adapter=caddyfile"),
        40,
        CADDY,
        capability=LOW_PORTS,
        title="Caddy, the front door",
        without="Browsers reach nothing; start it again by form processes start.",
        may_reload=False,
    )


def known(settings: Settings, name: str) -> Program:
    """The program of this name; raises NotFound."""
    found = next((p for p in programs(settings) if p.name == name), None)
    if found is None:
        names = ", ".join(p.name for p in programs(settings))
        raise NotFound(
            "process-unknown", f"There is no process {name!r}; there are {names}."
        )
    return found


def units(settings: Settings) -> dict[str, str]:
    """The unit of each program and engine where systemd keeps them."""
    own = {p.name: f"formation-{p.name}.service" for p in programs(settings)}
    return {**own, "libvirtd": "libvirtd.service"}
