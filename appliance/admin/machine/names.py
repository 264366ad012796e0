"""Host name and time zone, by systemd: hostnamectl(1), timedatectl(1)."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from appliance.problems import Problem

LOCAL_TIME, ZONES = Path("/etc/localtime"), "zoneinfo/"
HOST_NAME = Path("/etc/hostname")


def time_zone() -> str:
    """The name of the time zone; UTC where none is set."""
    try:
        return str(LOCAL_TIME.readlink()).partition(ZONES)[2] or "UTC"
    except OSError:
        return "UTC"


def host_name() -> str:
    """Of its file: a unit with ProtectHostname= keeps the name that it began with."""
    try:
        return HOST_NAME.read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()


def set_time_zone(name: str) -> None:
    _run("timedatectl", "set-timezone", name)


def set_host_name(name: str) -> None:
    _run("hostnamectl", "set-hostname", name)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Problem("machine-failed", f"{command[0]}: {error}") from None
    if done.returncode:
        why = done.stderr.strip()[:200]
        raise Problem("machine-failed", f"{' '.join(command)}: {why}")
