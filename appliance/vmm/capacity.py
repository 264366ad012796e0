"""Is there room for one more VM? Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """What a node has and what it promised; MiB, GiB, vCPUs."""

    memory_mib: int
    memory_promised_mib: int
    vcpu: float
    vcpu_promised: int
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
    if room.disk_free_gib < 1:
        found.append(
            f"the disk has {room.disk_free_gib:.1f} GiB free beyond its reserve"
        )
    return found
