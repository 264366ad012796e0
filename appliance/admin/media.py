"""Partitions of this machine that a stick or a card brought: lsblk(8), mount(8)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.problems import Problem

COLUMNS = "PATH,LABEL,PARTLABEL,FSTYPE,SIZE,RM,HOTPLUG,TRAN,MOUNTPOINTS,PARTTYPE,RO"
READ = ("vfat", "exfat", "ext4", "ext3", "ext2", "iso9660")
WRITE = ("vfat", "exfat", "ext4", "ext3", "ext2")
ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


@dataclass(frozen=True)
class Partition:
    """`is_loose` is of what can be pulled out; `size` is in bytes."""

    path: str
    label: str
    kind: str
    size: int
    is_loose: bool
    is_esp: bool
    mounts: tuple[str, ...]
    is_read_only: bool = False

    def __str__(self) -> str:
        label = f" {self.label}" if self.label else ""
        return f"{self.path}{label}, {self.size / 1e9:.1f} GB, {self.kind}"


def partitions() -> list[Partition]:
    """All with a file system that we read."""
    command = ["lsblk", "--json", "--bytes", "--output", COLUMNS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem("disks-unseen", f"lsblk: {done.stderr.strip()[:300]}")
    return parsed(json.loads(done.stdout))


def parsed(listing: dict[str, Any]) -> list[Partition]:
    """What lsblk said. Pure; a partition is as loose as its disk."""
    found = [
        partition
        for disk in listing["blockdevices"]
        for partition in _below(disk, False)
    ]
    return [one for one in found if one.kind in READ]


def _below(item: dict[str, Any], is_loose: bool) -> Iterator[Partition]:
    loose = is_loose or item.get("tran") == "usb"
    loose = loose or bool(item.get("rm") or item.get("hotplug"))
    yield Partition(
        path=item["path"],
        label=item.get("label") or item.get("partlabel") or "",
        kind=item.get("fstype") or "",
        size=int(item.get("size") or 0),
        is_loose=loose,
        is_esp=(item.get("parttype") or "").lower() == ESP,
        mounts=tuple(place for place in item.get("mountpoints") or () if place),
        is_read_only=bool(item.get("ro")),
    )
    for child in item.get("children") or ():
        yield from _below(child, loose)


@contextmanager
def mounted(partition: Partition, writable: bool) -> Iterator[Path]:
    """Its files, for the block; nothing on it is run, and no device of it opened."""
    with tempfile.TemporaryDirectory(prefix="formation-media-") as folder:
        options = f"{'rw' if writable else 'ro'},nosuid,nodev,noexec"
        command = ["mount", "-t", partition.kind, "-o", options]
        done = subprocess.run(
            [*command, partition.path, folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            why = done.stderr.strip()[:200]
            raise Problem("mount-failed", f"{partition.path} cannot be mounted: {why}.")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], capture_output=True, check=False)
