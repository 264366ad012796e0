"""What vmm-service measures: each running instance, and the memory it promised."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config import Settings
from appliance.metrics import NODE, Reading
from appliance.vmm import libvirt
from appliance.vmm.room import measure

GAUGES = ("memory",)


def read(settings: Settings) -> Iterator[Reading]:
    promised = float(measure().memory_promised_mib << 20)
    yield Reading(NODE, "memory_promised", promised)
    running = libvirt.stats()
    yield Reading(NODE, "instances", float(len(running)))
    for instance, values in running.items():
        for metric, value in values.items():
            yield Reading(instance, metric, value, counter=metric not in GAUGES)
