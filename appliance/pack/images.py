"""Images on the disk: by digest, taken by builds, removed when nothing needs them.

Who takes one notes the time under a shared lock; who removes one has it alone and
looks whether it was taken since. So none goes between a build and its deployment.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

from appliance.pack.store import DRAFT, Item, alone, is_same

DIGEST = re.compile(r"[0-9a-f]{64}")


def image_file(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.qcow2"


def images(folder: Path) -> list[Item]:
    found = []
    for path in folder.glob("*.qcow2"):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue
        if DIGEST.fullmatch(path.stem):
            size = about.st_blocks * 512
            found.append(Item("image", path.stem, "", size, about.st_mtime, path))
    return found


def take(path: Path) -> bool:
    """Whether the image is there; then it counts as used now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not is_same(path, descriptor):
            return False
        os.utime(descriptor)
        return True
    finally:
        os.close(descriptor)


def remove(item: Item) -> bool:
    """Take an image away, unless somebody took it since it was looked at."""
    with alone(item.path) as mine:
        if not mine or item.path.stat().st_mtime != item.used:
            return False
        item.path.unlink()
    return True


def drop_drafts(folder: Path) -> None:
    """Take away what builders left that died; a draft's name has their pid."""
    for draft in folder.glob(f"*{DRAFT}"):
        pid = draft.name.split(".")[1]
        if not (pid.isdigit() and Path("/proc", pid).exists()):
            draft.unlink(missing_ok=True)


def forget_builds(notes: Path, folder: Path) -> int:
    """Drop the notes of builds whose image is gone; says how many."""
    count = 0
    for note in notes.glob("*.json"):
        try:
            there = image_file(folder, json.loads(note.read_text())["digest"]).exists()
        except (OSError, ValueError, KeyError, TypeError):
            there = False
        if not there:
            note.unlink(missing_ok=True)
            count += 1
    return count
