"""The node's own readings, through psutil."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from appliance.config import Settings
from appliance.metrics.catalogue import NODE
from appliance.metrics.readings import Reading

BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
SYS = Path("/sys/class/net")


def read(settings: Settings) -> Iterator[Reading]:
    yield Reading(NODE, "cpu", busy_percent(), counter=True)
    yield Reading(NODE, "memory", float(psutil.virtual_memory().used))
    used = psutil.disk_usage(str(settings.data_dir)).used
    yield Reading(NODE, "disk_used", float(used))
    yield from network(settings.formnet.bridge)


def busy_percent() -> float:
    """A counter: 100 times the seconds that the node's CPUs were busy, for each."""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in BUSY)
    return 100.0 * float(busy) / (psutil.cpu_count() or 1)


def network(bridge: str) -> Iterator[Reading]:
    """Bytes to and from other machines, interface by interface."""
    for name, counted in psutil.net_io_counters(pernic=True).items():
        if is_outside(name, bridge, (SYS / name / "master").exists()):
            received, sent = float(counted.bytes_recv), float(counted.bytes_sent)
            yield Reading(NODE, "net_in", received, counter=True, part=name)
            yield Reading(NODE, "net_out", sent, counter=True, part=name)


def is_outside(name: str, bridge: str, has_master: bool) -> bool:
    """Whether the interface leads out of the node: not loopback, not the guests'
    bridge, and nothing that is plugged into a bridge or belongs to a build."""
    inside = name in ("lo", bridge) or name.startswith(("vnet", "fbuild"))
    return not inside and not has_master
