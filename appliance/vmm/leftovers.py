"""What instances leave behind that have no record and no domain."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from appliance import clock, events, operations, state
from appliance.config import Settings

GRACE_S = 3600.0
ID = re.compile(r"[0-9a-z]{26}")
BACKING_AT, BACKING_SIZE_AT, HEADER = slice(8, 16), slice(16, 20), 20
QEMU_LOGS = Path("/var/log/libvirt/qemu")


def orphans(
    found: Mapping[str, float], known: Collection[str], now: float
) -> list[str]:
    """Instances whose folder is older than the grace period and nobody's. Pure."""
    return sorted(
        id_
        for id_, changed in found.items()
        if ID.fullmatch(id_) and id_ not in known and now - changed > GRACE_S
    )


def strays() -> dict[str, str]:
    """Machines of ours that neither a record nor an operation knows, `running` or
    `off`. Asked twice, since one may be just made or deleted."""
    from appliance.vmm import libvirt

    before = libvirt.states()
    known = {row.id for row in operations.recent(limit=1000, live=True)}
    known |= {record.id for record in state.select("instance")}
    return {
        id_: word
        for id_, word in libvirt.states().items()
        if ID.fullmatch(id_) and id_ in before and id_ not in known
    }


def sweep(config: Settings, logs: Path = QEMU_LOGS) -> list[str]:
    """Remove orphans' folders, and the logs that QEMU kept of them.

    Raises Unavailable when libvirt cannot say what it has.
    """
    from appliance.vmm import libvirt

    found = _times(config.instances_dir, "*") | _times(logs, "formation-*.log")
    known = {row.id for row in operations.recent(limit=1000, live=True)}
    known |= {record.id for record in state.select("instance")}
    known |= set(libvirt.states())
    gone = orphans(found, known, clock.now())
    for id_ in gone:
        folder = config.instances_dir / id_
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            text = f"The disk of {id_}, which no instance has, was removed"
            events.happened(text, service="vmm-service", subject=id_)
        (logs / f"formation-{id_}.log").unlink(missing_ok=True)
    return gone


def _times(folder: Path, pattern: str) -> dict[str, float]:
    """When what belongs to an instance was last changed, by its id."""
    found = {}
    for path in folder.glob(pattern):
        inner = list(path.iterdir()) if path.is_dir() else []
        times = [p.stat().st_mtime for p in (path, *inner) if p.exists()]
        if times:
            found[path.stem.removeprefix("formation-")] = max(times)
    return found


def backing_images(config: Settings) -> dict[str, str]:
    """The image that each instance's disk stands on, as digests, by instance."""
    found = {}
    for disk in config.instances_dir.glob("*/disk.*"):
        backing = backing_file(disk)
        if backing is not None:
            found[disk.parent.name] = backing.stem
    return found


def backing_file(disk: Path) -> Path | None:
    """What a qcow2 stands on, by its header (QEMU's docs/interop/qcow2)."""
    try:
        with disk.open("rb") as file:
            header = file.read(HEADER)
            at = int.from_bytes(header[BACKING_AT])
            size = int.from_bytes(header[BACKING_SIZE_AT])
            if header[:4] != b"QFI\xfb" or not at or size > 1023:
                return None
            file.seek(at)
            return Path(file.read(size).decode(errors="replace"))
    except OSError:
        return None
