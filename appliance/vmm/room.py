"""Measures this node's room for instances."""

from __future__ import annotations

import psutil

from appliance import state
from appliance.config import settings
from appliance.problems import Unavailable
from appliance.vmm.capacity import Room, missing


def measure() -> Room:
    """Memory and CPUs of the machine against what running instances were promised."""
    config = settings()
    running = [
        record.body
        for record in state.select("instance")
        if record.body["desired"] == "running"
    ]
    total = psutil.virtual_memory().total >> 20
    disk = psutil.disk_usage(str(config.data_dir)).free / 2**30
    return Room(
        total - config.vmm.reserve_memory_mib,
        sum(body["memory_mib"] for body in running),
        (psutil.cpu_count() or 1) * config.vmm.cpu_overcommit,
        sum(body["vcpu"] for body in running),
        disk - config.vmm.reserve_disk_gib,
    )


def check_capacity(memory_mib: int, vcpu: int, disk_gib: int) -> None:
    """Raise a sentence that says what is missing."""
    short = missing(measure(), memory_mib, vcpu, disk_gib)
    if short:
        raise Unavailable(
            "no-room",
            "No room on this node: " + "; ".join(short) + ". Stop or delete instances, "
            "or ask for less in the Formfile.",
            retry_after=60,
        )
