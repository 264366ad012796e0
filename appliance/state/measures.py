"""What form-state measures: its records, and the room that they take."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config import Settings
from appliance.metrics import NODE, Reading
from appliance.state.client import open_state


def read(settings: Settings) -> Iterator[Reading]:
    yield Reading(NODE, "records", float(open_state(settings).total()))
    folder = settings.data_dir / "state"
    size = sum(file.stat().st_size for file in folder.glob("state.db*"))
    yield Reading(NODE, "records_size", float(size))
