"""What form-dns measures: the queries that it counts, from its own report."""

from __future__ import annotations

import json
from collections.abc import Iterator

from appliance.config import Settings
from appliance.metrics import NODE, Reading

NO_QUERIES = ("failed", "turned away")  # counted before as what they were; connections


def read(settings: Settings) -> Iterator[Reading]:
    """The report is written every few seconds, so its own time counts."""
    file = settings.run_dir / "dns" / "report.json"
    try:
        queries = json.loads(file.read_text())["queries"]
    except (FileNotFoundError, ValueError):
        return  # form-dns has only just begun
    time = file.stat().st_mtime
    bad = sum(queries.get(what, 0) for what in NO_QUERIES)
    counts = {"dns_queries": sum(queries.values()) - bad, "dns_failed": bad}
    for metric, count in counts.items():
        yield Reading(NODE, metric, float(count), counter=True, time=time)
