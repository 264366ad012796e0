"""What form-pack measures: the builds that ended in the last hour."""

from __future__ import annotations

from collections.abc import Iterator

from appliance import clock
from appliance.config import Settings
from appliance.metrics import NODE, Reading
from appliance.pack import tally

HOUR_S = 3600.0


def read(settings: Settings) -> Iterator[Reading]:
    found = tally.since(clock.now() - HOUR_S)
    yield Reading(NODE, "builds", float(found.ended))
    yield Reading(NODE, "builds_failed", float(found.failed))
    yield Reading(NODE, "layers_made", float(found.made))
    yield Reading(NODE, "layers_cached", float(found.cached))
    if found.seconds is not None:
        yield Reading(NODE, "build_seconds", found.seconds)
