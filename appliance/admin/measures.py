"""What admin measures: each process and engine, and the requests they answered.

Both are reports that the processes write every few seconds, so their own times count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from appliance import clock
from appliance.admin import processes
from appliance.config import Settings
from appliance.metrics import Reading, process
from appliance.problems import Unavailable

ANSWERING = ("web", "gateway")
STALE_S = 30.0


def read(settings: Settings) -> Iterator[Reading]:
    yield from used(settings)
    for name in ANSWERING:
        yield from answered(settings, name)


def used(settings: Settings) -> Iterator[Reading]:
    """CPU in percent of one, and memory; nothing of a process that does not run, nor
    from a report that is old."""
    try:
        report = processes.report(settings)
    except Unavailable:
        return
    time = float(report["looked"])
    if clock.now() - time > STALE_S:
        return
    for one in report["processes"]:
        if one["pid"]:
            yield from of_process(one, time)


def of_process(found: dict[str, Any], time: float) -> Iterator[Reading]:
    subject, percent = process(found["name"]), 100.0 * found["cpu_s"]
    yield Reading(subject, "process_cpu", percent, counter=True, time=time)
    yield Reading(subject, "process_memory", float(found["memory"]))


def answered(settings: Settings, name: str) -> Iterator[Reading]:
    """Requests that a process answered since it began; `failed` are those with 5xx."""
    file = settings.run_dir / name / "requests.json"
    try:
        report = json.loads(file.read_text())
        time = file.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return  # the process has only just begun
    for metric, key in (("requests", "answered"), ("requests_failed", "failed")):
        count = float(report[key])
        yield Reading(process(name), metric, count, counter=True, time=time)
