"""Real processes of the node, each with a log of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from appliance.admin.caddy import caddyfile, ensure_certificate
from appliance.admin.programs import programs
from appliance.admin.serving import accepts
from appliance.config import Settings

ROOT = Path(__file__).parents[2]
SOCKETS = {"state": "state.sock", "web": "web.sock", "gateway": "gateway.sock"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def log_of(settings: Settings, name: str) -> Path:
    return settings.log_dir / f"{name}.log"


@contextmanager
def serving(
    settings: Settings, *names: str
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The programs of these names, once each accepts connections."""
    if "caddy" in names:
        ensure_certificate(settings)
        (settings.run_dir / "Caddyfile").write_text(caddyfile(settings))
    with ExitStack() as stack:
        started = {name: stack.enter_context(process(settings, name)) for name in names}
        for name in names:
            until(lambda name=name: is_up(settings, name), log_of(settings, name))
        yield started


@contextmanager
def process(settings: Settings, name: str) -> Iterator[subprocess.Popen[bytes]]:
    found = next(program for program in programs(settings) if program.name == name)
    command = [*found.command]
    if "gunicorn" in command:
        command.append(f"--bind=unix:{settings.run_dir / SOCKETS[name]}")
    home = {"HOME": str(settings.data_dir), "XDG_CONFIG_HOME": str(settings.data_dir)}
    with log_of(settings, name).open("w") as log:
        made = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **home, "FORMATION_PROCESS": name},
            stdout=log,
            stderr=log,
        )
    try:
        yield made
    finally:
        made.terminate()
        made.wait(20)


def is_up(settings: Settings, name: str) -> bool:
    if name in SOCKETS:
        path = settings.run_dir / SOCKETS[name]
        return path.exists() and accepts(path)
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", settings.http.https_port)) == 0


def until(found: Callable[[], object], log: Path) -> None:
    pause = threading.Event()
    for _ in range(300):
        if found():
            return
        pause.wait(0.1)
    sys.exit(f"not within 30 s: {log.read_text()[-2000:]}")
