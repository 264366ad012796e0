"""Whether this machine is the appliance: one that started from our disk image."""

from __future__ import annotations

from pathlib import Path

FILE = Path("/usr/lib/formation/appliance.json")


def is_appliance() -> bool:
    return FILE.exists()
