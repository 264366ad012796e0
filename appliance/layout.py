"""The folders of the node: whose each is, and who may look into it.

Each process has a user of its own; the group `formation-node` reads records and wakes
other processes. `prepare` makes the folders, `assign` gives them to their users.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Settings

WEB, STATE, DNS, CADDY = "formation-web", "formation-state", "formation-dns", "caddy"
READERS = "formation-node"


@dataclass(frozen=True)
class Folder:
    """`mode` as in chmod(1); a group's name where it is not the owner's own."""

    mode: int
    owner: str = "root"
    group: str | None = None


DATA = {
    "": Folder(0o711),
    "base": Folder(0o755),
    "caddy": Folder(0o700, CADDY),
    "contexts": Folder(0o700),
    "images": Folder(0o755),
    "instances": Folder(0o711),
    "keys": Folder(0o700),
    "node": Folder(0o700, WEB),
    "pack": Folder(0o711),
    "services": Folder(0o755, WEB),
    "state": Folder(0o2750, STATE, READERS),
    "tls": Folder(0o750, "root", CADDY),
    "uploads": Folder(0o700, WEB),
    "vmm": Folder(0o755),
}
RUN = {
    "": Folder(0o755),
    "caddy": Folder(0o700, CADDY),
    "dns": Folder(0o755, DNS),
    "gateway": Folder(0o755, WEB),
    "jobs": Folder(0o755),
    "state": Folder(0o755, STATE),
    "wake": Folder(0o1770, "root", READERS),
    "web": Folder(0o755, WEB),
}


def folders(settings: Settings) -> Iterator[tuple[Path, Folder]]:
    """Every folder with its place, parents first."""
    for base, table in ((settings.data_dir, DATA), (settings.run_dir, RUN)):
        for name, folder in table.items():
            yield base / name, folder
    yield settings.log_dir, Folder(0o750, "root", settings.auth.operator_group)


def prepare(settings: Settings) -> None:
    """Make what is missing; leave what is there."""
    for path, folder in folders(settings):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(folder.mode)


def assign(settings: Settings) -> None:
    """Give folders to their users, and with them the files that root left there."""
    for path, folder in folders(settings):
        uid = pwd.getpwnam(folder.owner).pw_uid
        gid = grp.getgrnam(folder.group or folder.owner).gr_gid
        os.chown(path, uid, gid)
        path.chmod(folder.mode)  # chown(2) clears the set-group-id bit
        if uid or folder.group in (READERS, CADDY):
            _hand_over(path, uid, gid)


def _hand_over(folder: Path, uid: int, gid: int) -> None:
    """Only plain files of root with one name: a link may lead anywhere."""
    for path in folder.iterdir():
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and not found.st_uid:
            os.chown(path, uid, gid, follow_symlinks=False)
