"""What formnet measures: bytes to and from all guests, over their bridge."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from appliance.config import Settings
from appliance.metrics import NODE, Reading


def read(settings: Settings) -> Iterator[Reading]:
    """What the bridge sends is what guests get."""
    counted = psutil.net_io_counters(pernic=True).get(settings.formnet.bridge)
    if counted is not None:
        yield Reading(NODE, "guests_in", float(counted.bytes_sent), counter=True)
        yield Reading(NODE, "guests_out", float(counted.bytes_recv), counter=True)
