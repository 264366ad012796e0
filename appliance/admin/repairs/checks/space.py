"""Is there room on the disks of the node?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from appliance import pack
from appliance.admin import storage
from appliance.admin.repairs.issue import Fix, Issue, Repair, Severity
from appliance.config import Settings, settings
from appliance.operations import Run

NEARLY, FULL = 90, 97
INODES = 0.95


def find(config: Settings) -> Iterator[Issue]:
    for name, folder in disks(config).items():
        disk, about = psutil.disk_usage(str(folder)), os.statvfs(folder)
        severity = how_bad(disk.percent)
        if severity:
            yield of_space(name, folder, severity, disk.free, frees(config, name))
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
    """Of a disk of which so many percent are in use. Pure."""
    if used < NEARLY:
        return None
    return "critical" if used >= FULL else "warning"


def frees(config: Settings, name: str) -> int:
    """Bytes of that disk that a collection would free."""
    return pack.collectable(config) if name in ("data", "images") else 0


def of_space(
    name: str, folder: Path, severity: Severity, free: int, unused: int
) -> Issue:
    button = f"Free {unused / 1e9:.1f} GB of images and layers"
    return Issue(
        severity,
        "The disk is full" if severity == "critical" else "The disk is nearly full",
        f"{free / 1e9:.1f} GB are free on the disk of {folder} ({name}). When none is, "
        "nothing can be deployed or changed.",
        "Delete instances, volumes or images that are not needed; Storage says what "
        "takes the room. Or give the node a larger disk.",
        subject=name,
        fix=Fix(button) if unused else None,
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
