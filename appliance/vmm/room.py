"""Measures this node's room for instances."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from appliance import state
from appliance.config import settings
from appliance.problems import DiskFull, Unavailable
from appliance.vmm.capacity import Room, is_full, missing
from appliance.vmm.volumes import volumes


def measure() -> Room:
    """What the machine has against what instances were promised: memory and CPUs
    to those that run, disk to all."""
    config = settings()
    found = [record.body for record in state.select("instance")]
    running = [body for body in found if body["desired"] == "running"]
    config.instances_dir.mkdir(parents=True, exist_ok=True)
    free = psutil.disk_usage(str(config.instances_dir)).free / 2**30
    free -= config.vmm.reserve_disk_gib
    of_instances = max(0.0, free + taken_gib()) * config.vmm.disk_overcommit
    promised = sum(volume.size for volume in volumes(config)) >> 30
    return Room(
        (psutil.virtual_memory().total >> 20) - config.vmm.reserve_memory_mib,
        sum(body["memory_mib"] for body in running),
        (psutil.cpu_count() or 1) * config.vmm.cpu_overcommit,
        sum(body["vcpu"] for body in running),
        of_instances,
        promised + sum(body["disk_gib"] for body in found),
        free,
    )


def taken_gib() -> float:
    """What instances' disks and volumes take already."""
    total = 0
    for path in settings().instances_dir.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total / 2**30


def check_capacity(
    memory_mib: int,
    vcpu: int,
    disk_gib: int,
    collectable: Callable[[], int] = lambda: 0,
) -> None:
    """Raise a sentence that says what is missing, and of a full disk what could be
    freed: `collectable` bytes."""
    room = measure()
    short = missing(room, memory_mib, vcpu, disk_gib)
    if short:
        raise Unavailable(
            "no-room",
            "No room on this node: " + "; ".join(short) + ". Stop or delete instances, "
            "or ask for less in the Formfile.",
            retry_after=60,
        )
    if is_full(room):
        raise DiskFull(
            f"The disk has {max(room.disk_free_gib, 0):.1f} GiB free beyond its "
            f"reserve, and an instance needs 1 to begin with. Images and layers that "
            f"nothing uses take {collectable() / 2**30:.1f} GiB (form pack collect "
            "--all frees them); form storage shows what else takes it."
        )
