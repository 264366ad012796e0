"""What takes the node's disk: measured by formation-jobs, read by all.

Pages and API read the last measurement, so that they need no right to look into
the folders.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from appliance import clock, pack, vmm
from appliance.config import Settings
from appliance.problems import Unavailable
from appliance.service import write_json

Document = dict[str, Any]


def report_file(settings: Settings) -> Path:
    return settings.run_dir / "jobs" / "storage.json"


def report(settings: Settings) -> Document:
    """The last measurement; raises Unavailable before the first."""
    try:
        document: Document = json.loads(report_file(settings).read_text())
    except (OSError, ValueError):
        raise Unavailable(
            "storage-unmeasured",
            "The disk was not measured yet. formation-jobs does it as soon as it runs, "
            "and twice a minute; form status says whether it does.",
            retry_after=5,
        ) from None
    return document


def refresh(settings: Settings) -> None:
    """Measure, and write it where all can read."""
    write_json(report_file(settings), measure(settings))


def measure(settings: Settings) -> Document:
    """Images, layers, volumes, and bytes of everything else that grows."""
    kept = pack.look(settings)
    volumes = vmm.volumes(settings)
    disk = psutil.disk_usage(str(settings.data_dir))
    return {
        "measured": clock.now(),
        "total": disk.total,
        "free": disk.free,
        "bound": kept.bound,
        "kept": kept.bytes,
        "parts": list(parts(settings, kept, volumes)),
        **listed(kept),
        "volumes": [volume_document(volume) for volume in volumes],
    }


def listed(kept: pack.Kept) -> Document:
    """Images and layers, the largest first, with what a collection would free."""
    over = {item.key for item in kept.removable()}
    unused = {item.key for item in kept.removable(everything=True)}
    found: Document = {"images": [], "layers": []}
    for item in sorted(kept.items, key=lambda i: -i.bytes):
        found[f"{item.kind}s"].append(
            {
                "key": item.key,
                "title": item.title,
                "bytes": item.bytes,
                "used": item.used,
                "users": kept.users.get(item.key, []),
                "unused": item.key in unused,
                "over": item.key in over,
            }
        )
    sizes = {item.key: item.bytes for item in kept.items}
    found["over_bytes"] = sum(sizes[key] for key in over)
    found["unused_bytes"] = sum(sizes[key] for key in unused)
    return found


def volume_document(volume: vmm.Volume) -> Document:
    return {
        "owner": volume.owner,
        "agent": volume.agent,
        "name": volume.name,
        "mount": volume.mount,
        "size": volume.size,
        "bytes": volume.bytes,
        "used": volume.used,
        "users": list(volume.users),
    }


def parts(
    settings: Settings, kept: pack.Kept, volumes: Iterable[vmm.Volume]
) -> Iterable[Document]:
    """What each kind of thing takes, with what bounds it."""
    data = settings.data_dir
    sizes = {"image": 0, "layer": 0}
    for item in kept.items:
        sizes[item.kind] += item.bytes
    cache = f"{settings.pack.cache_gib} GiB with the layers (pack.cache_gib)"
    yield part("Images", sizes["image"], cache)
    yield part("Build layers", sizes["layer"], cache.replace("layers", "images"))
    disks = [
        p for p in settings.instances_dir.glob("*/*") if p.parent.name != "volumes"
    ]
    yield part("Instances' disks", taken(disks), "DISK of each, and 16 MiB of console")
    yield part("Volumes", sum(v.bytes for v in volumes), "removed only by hand")
    yield part(
        "Guest bases",
        taken(settings.base_dir.glob("*/*")),
        "one for each release of Debian",
    )
    uploads = [p for n in ("uploads", "contexts") for p in (data / n).rglob("*")]
    yield part("Uploads", taken(uploads), "removed when their deployment is over")
    databases = [p for n in ("node", "state") for p in (data / n).glob("*")]
    yield part("Databases", taken(databases), "old rows are dropped every hour")
    logs = f"{settings.admin.log_mib} MiB a file, three files a process"
    yield part("Logs", taken(settings.log_dir.rglob("*")), logs)


def part(title: str, size: int, bound: str) -> Document:
    return {"title": title, "bytes": size, "bound": bound}


def taken(paths: Iterable[Path]) -> int:
    """Bytes that files take on the disk; those that went meanwhile take none."""
    total = 0
    for path in paths:
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
