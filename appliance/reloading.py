"""Settings read anew by processes that run.

formation-jobs writes down when it asked for it; each process sees that at its next
round, reads the settings and says so in a file of its own. What it was started with
stands there too: from that the pages know what waits for a restart.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance import clock, wake
from appliance.config import Settings
from appliance.service import write_json

NODE = "node"


@dataclass(frozen=True)
class Report:
    """`started` are the settings at its start; `answered` is the moment that was asked
    for when it read them last; `trouble` is why it goes on with former ones."""

    started: dict[str, Any] = field(default_factory=dict)
    answered: float = 0.0
    trouble: str = ""


def request_file(settings: Settings) -> Path:
    return settings.run_dir / "jobs" / "reload.json"


def report_file(settings: Settings, process: str) -> Path:
    """Of a process, or of the whole node's start."""
    folder = settings.run_dir if process == NODE else settings.run_dir / process
    return folder / "settings.json"


def ask(settings: Settings) -> float:
    """Let every process read the settings; returns the moment that is asked for."""
    asked = max(clock.now(), requested(settings) + 1e-3)
    write_json(request_file(settings), {"asked": asked})
    for process in wake.PROCESSES:
        wake.notify(settings.run_dir, process, "settings")
    return asked


def requested(settings: Settings) -> float:
    """When that was asked for last; 0 if never."""
    try:
        return float(json.loads(request_file(settings).read_text())["asked"])
    except (OSError, ValueError, KeyError):
        return 0.0


def started(settings: Settings) -> dict[str, Any]:
    """The settings as a report keeps them; they hold no secrets."""
    return settings.model_dump(mode="json")


def write(settings: Settings, process: str, report: Report) -> None:
    write_json(report_file(settings, process), asdict(report))


def read(settings: Settings, process: str) -> Report | None:
    """What a process said last; None where it never ran."""
    try:
        return Report(**json.loads(report_file(settings, process).read_text()))
    except (OSError, ValueError, TypeError):
        return None
