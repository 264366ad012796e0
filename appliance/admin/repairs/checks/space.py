"""Is there room on the disks of the node?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from appliance import pack
from appliance.admin import storage
from appliance.admin.repairs.issue import Fix, Issue, Repair, Severity
from appliance.config import Settings, settings
from appliance.operations import Run

NEARLY, FULL = 0.90, 0.97
INODES = 0.95


def find(config: Settings) -> Iterator[Issue]:
    frees = collectable(config)
    for name, folder in disks(config).items():
        about = os.statvfs(folder)
        used = 1 - about.f_bavail / about.f_blocks if about.f_blocks else 0.0
        severity = how_bad(used)
        if severity:
            free = about.f_bavail * about.f_frsize
            yield of_space(name, folder, severity, free, frees)
        if about.f_files and 1 - about.f_favail / about.f_files > INODES:
            yield of_files(name, folder)


def disks(config: Settings) -> dict[str, Path]:
    """A folder on each disk, by what lies there; one disk is named once."""
    found: dict[int, tuple[str, Path]] = {}
    folders = {
        "data": config.data_dir,
        "images": config.images_dir,
        "instances": config.instances_dir,
        "logs": config.log_dir,
    }
    for name, folder in folders.items():
        if folder.exists():
            found.setdefault(folder.stat().st_dev, (name, folder))
    return dict(found.values())


def how_bad(used: float) -> Severity | None:
    """Of a share, 0 to 1. Pure."""
    if used < NEARLY:
        return None
    return "critical" if used >= FULL else "warning"


def collectable(config: Settings) -> int:
    return pack.collectable(config)


def of_space(
    name: str, folder: Path, severity: Severity, free: int, frees: int
) -> Issue:
    here = name in ("data", "images") and frees > 0
    button = f"Free {frees / 1e9:.1f} GB of images and layers"
    return Issue(
        severity,
        "The disk is full" if severity == "critical" else "The disk is nearly full",
        f"{free / 1e9:.1f} GB are free on the disk of {folder} ({name}). When none is, "
        "nothing can be deployed or changed.",
        "Delete instances, volumes or images that are not needed; Storage says what "
        "takes the room. Or give the node a larger disk.",
        subject=name,
        fix=Fix(button) if here else None,
        link="/admin/storage",
        state=severity,
    )


def of_files(name: str, folder: Path) -> Issue:
    return Issue(
        "critical",
        "The disk can hold hardly any more files",
        f"The file system of {folder} ({name}) has room for bytes, not for files.",
        "Delete folders with many small files, or make its file system anew with more "
        "inodes.",
        subject=f"{name}-files",
        link="/admin/storage",
        state="files",
    )


def mend(run: Run, subject: str) -> None:
    freed = pack.collect(settings(), True, run.log)
    run.log(f"{freed / 1e6:.1f} MB were freed")
    storage.refresh(settings())


REPAIR = Repair("space", "Room on the disk", find, mend)
