"""A factory reset: systemd-repart(8) makes the data partition anew at the next start,
where the firmware's variable FactoryReset says so."""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance.appliance_image import is_appliance
from appliance.problems import Conflict

VARIABLES = Path("/sys/firmware/efi/efivars")
NAME = "FactoryReset-8cf2644b-4b0b-428f-9387-6d876050dc67"
ATTRIBUTES = 7  # kept; seen by boot services and at run time
IMMUTABLE = "-i"


def must_be_possible() -> None:
    """Raise Conflict with what to do instead."""
    if not is_appliance():
        raise Conflict(
            "not-appliance",
            "A factory reset is of the appliance's disk image alone. Here: apt purge "
            "formation, then remove /var/lib/formation.",
        )
    if not VARIABLES.is_dir():
        raise Conflict(
            "no-uefi",
            "This machine was started by BIOS, whose boot takes no such wish: write "
            "the image to the disk anew.",
        )


def request() -> None:
    """Note the wish in the firmware; the machine must restart for it."""
    file = VARIABLES / NAME
    if file.exists():
        subprocess.run(["chattr", IMMUTABLE, file], capture_output=True, check=False)
    value = "1\0".encode("utf-16-le")
    file.write_bytes(ATTRIBUTES.to_bytes(4, "little") + value)
