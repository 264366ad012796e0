"""The users that the node's processes run as; made where they are missing."""

from __future__ import annotations

import grp
import pwd
import subprocess
from pathlib import Path

from appliance.config import Settings
from appliance.layout import CADDY, DNS, READERS, STATE, WEB
from appliance.problems import Problem

JOURNAL = "systemd-journal"  # who may read it: systemd-journald.service(8)
NOWHERE, NO_SHELL = "/nonexistent", "/usr/sbin/nologin"


def ensure_users(settings: Settings) -> None:
    """Make groups and system users; those that are there stay as they are."""
    for name in (READERS, settings.auth.operator_group):
        if not _is_group(name):
            _run("groupadd", "--system", name)
    for name in (WEB, STATE, DNS):
        if not _is_user(name):
            _add(name, "--groups", READERS)
    if not _is_user(CADDY):
        _add(CADDY)
    for name in (settings.auth.operator_group, JOURNAL):
        if _is_group(name) and WEB not in _members(name):
            _run("usermod", "--append", "--groups", name, WEB)  # the pages show logs


def _add(name: str, *options: str) -> None:
    home = ("--home-dir", NOWHERE, "--no-create-home", "--shell", NO_SHELL)
    _run("useradd", "--system", "--user-group", *home, *options, name)


def _is_user(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def _is_group(name: str) -> bool:
    try:
        return bool(grp.getgrnam(name))
    except KeyError:
        return False


def _members(group: str) -> list[str]:
    return grp.getgrnam(group).gr_mem


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(
            "users-missing",
            f"The node's users cannot be made: {' '.join(command)}: "
            f"{done.stderr.strip()}",
        )


def must_be_readable(path: Path) -> None:
    """Raise a sentence when users other than root cannot look at `path`."""
    for part in (path, *path.parents):
        wanted = 0o004 if part.is_file() else 0o001
        if not part.stat().st_mode & wanted:
            raise Problem(
                "not-readable",
                f"{part} is closed to others, so the node's own users cannot run "
                f"{path}. Install the node by ./run.sh, or open that folder: "
                f"chmod o+rx {part}.",
            )
