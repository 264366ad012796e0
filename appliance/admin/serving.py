"""Does the node run on this machine, and could `form serve` run it?"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import clock
from appliance.admin.ports import wanted
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import UNSET, at_path, read_status
from appliance.supervision import SYSTEMD

START_S = 30.0
RUN_DIR = Path("/run/formation")
TARGET = "formation.target"


def must_be_root(command: str) -> None:
    if os.geteuid() != 0:
        text = f"form {command} needs root: sudo form {command}."
        raise Problem("root-needed", text)


def is_running(settings: Settings) -> bool:
    """Whether supervisord of this node answers, or systemd keeps its sockets."""
    run = settings.run_dir
    return accepts(run / "supervisor.sock") or is_units(settings, "is-active")


def is_units(settings: Settings, *asked: str) -> bool:
    """Whether systemd says yes to one of these of the node's units."""
    if settings.run_dir != RUN_DIR or not SYSTEMD.exists():
        return False
    return any(_says_yes(verb) for verb in asked)


def _says_yes(verb: str) -> bool:
    command = ["systemctl", "--quiet", verb, TARGET]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(1)
        return link.connect_ex(str(path)) == 0


def wait_while_starting(settings: Settings, name: str) -> None:
    """Give a node that was just started time to open the socket `name`."""
    pause, end = threading.Event(), clock.now() + START_S
    while not accepts(settings.run_dir / name):
        if clock.now() > end or not is_running(settings):
            return
        pause.wait(0.1)


def wait_while_beginning(
    settings: Settings, path: str, tell: Callable[[str], None]
) -> None:
    """Give the service whose API is at `path` time to begin, in a node that was just
    started; `tell` hears once what is waited for."""
    service, told = at_path(path), False
    if service is None or service.always or not is_running(settings):
        return
    pause, end = threading.Event(), clock.now() + START_S
    while clock.now() < end:
        status = read_status(settings, service)
        if status.state not in ("waiting", "starting") or status.reason == UNSET:
            return
        if not told:
            tell(f"{service.title} ({service.name}) is {status.state}: waiting for it")
        told = True
        pause.wait(0.1)


def begin_at_once(settings: Settings) -> None:
    """Knock at supervisord from a process beside: it starts nothing in its first
    second unless somebody connects. Call it just before becoming supervisord."""
    if os.fork():
        return
    pause, end = threading.Event(), clock.now() + START_S
    while not accepts(settings.run_dir / "supervisor.sock") and clock.now() < end:
        pause.wait(0.02)
    os._exit(0)


def must_be_free(settings: Settings) -> None:
    """Raise a sentence if another node, or another program, is in the way."""
    if is_units(settings, "is-active", "is-enabled"):
        raise Problem(
            "systemd-serves",
            f"systemd keeps this node: systemctl status {TARGET} shows it, and "
            f"systemctl start {TARGET} starts it. To serve it here instead: systemctl "
            f"disable --now {TARGET}.",
        )
    if is_running(settings):
        raise Problem("serves-already", f"form serve runs already: {settings.run_dir}.")
    for port in wanted(settings):
        kind = socket.SOCK_STREAM if port.kind == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as probe:
            is_tcp = int(port.kind == "tcp")
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_tcp)
            try:
                probe.bind((port.host, port.number))
            except OSError as error:
                raise Problem(
                    "port-taken",
                    f"Port {port.number} of {port.host or 'this machine'} cannot be "
                    f"used: {error.strerror}. End the program that has it, or choose "
                    f"another: {port.variable}=… in the environment, or "
                    f"{port.setting} in the settings.",
                ) from None
