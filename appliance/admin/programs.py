"""What runs on a node without systemd: each program, its user and its rights."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Settings
from appliance.layout import CADDY, DNS, READERS, STATE, WEB

THREADS = {"web": 32, "gateway": 256}
"""A request that waits for a task holds a thread (`market.calls`)."""
LOW_PORTS = "net_bind_service"  # capabilities(7): ports below 1024


@dataclass(frozen=True)
class Program:
    """One supervised process; a lower priority starts earlier, stops later.

    `sockets` are (file name, group that may connect), made before it starts.
    `phrase` says that it opens keys, so it gets the pass phrase where one is set.
    """

    name: str
    command: tuple[str, ...]
    priority: int
    user: str = "root"
    sockets: tuple[tuple[str, str], ...] = ()
    capability: str = ""
    phrase: bool = False
    stop_wait_s: int = 10


def _gunicorn(name: str, sockets: tuple[tuple[str, str], ...]) -> Program:
    config = "--config=python:blueprints.gunicorn"
    threads = f"--threads={THREADS[name]}"
    command = (sys.executable, "-m", "gunicorn", config, threads, "blueprints.wsgi:app")
    return Program(name, command, 30, WEB, sockets)


def programs(settings: Settings) -> tuple[Program, ...]:
    """What runs, engines first."""
    python = sys.executable
    state, dns = (python, "-m", "appliance.state"), (python, "-m", "appliance.dns")
    operators = settings.auth.operator_group
    caddyfile = str(settings.run_dir / "Caddyfile")
    caddy = ("caddy", "run", "--config", caddyfile, "--adapter=caddyfile")
    asked = (("state.sock", READERS),)
    ours = (
        Program("state", state, 20, STATE, sockets=asked, phrase=True),
        Program("jobs", (python, "-m", "jobs"), 25, stop_wait_s=60),
        Program("dns", dns, 30, DNS, capability=LOW_PORTS),
        _gunicorn("web", (("web.sock", CADDY), ("cli.sock", operators))),
        _gunicorn("gateway", (("gateway.sock", CADDY),)),
        Program("caddy", caddy, 40, CADDY, capability=LOW_PORTS),
    )
    if Path("/run/systemd/system").exists():
        return ours
    file = Path(__file__).parents[1] / "vmm" / "engine.py"
    keeper = (python, "-P", str(file))  # without its package, which is 25 MB more
    return (Program("libvirtd", keeper, 10, stop_wait_s=20), *ours)
