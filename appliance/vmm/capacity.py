"""Is there room for one more VM? Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """What a node has and what it promised; MiB, GiB, vCPUs.

    Disks are promised in full and grow as they are written, so more is promised
    (`disk_gib`) than there is (`disk_free_gib`).
    """

    memory_mib: int
    memory_promised_mib: int
    vcpu: float
    vcpu_promised: int
    disk_gib: float
    disk_promised_gib: int
    disk_free_gib: float


def missing(room: Room, memory_mib: int, vcpu: int, disk_gib: int) -> list[str]:
    """A sentence for each thing that is short; empty when it fits."""
    found = []
    memory = room.memory_mib - room.memory_promised_mib
    if memory_mib > memory:
        found.append(
            f"{memory_mib} MiB of memory are asked for and {max(memory, 0)} are free"
        )
    if vcpu > room.vcpu - room.vcpu_promised:
        free = int(max(0, room.vcpu - room.vcpu_promised))
        found.append(f"{vcpu} vCPUs are asked for and {free} may be promised")
    disk = room.disk_gib - room.disk_promised_gib
    if disk_gib > disk:
        found.append(
            f"{disk_gib} GiB of disk are asked for and {max(int(disk), 0)} may be "
            f"promised: {room.disk_promised_gib} of {int(room.disk_gib)} are"
        )
    return found


def is_full(room: Room) -> bool:
    """Whether a new instance could not even begin to write."""
    return room.disk_free_gib < 1
