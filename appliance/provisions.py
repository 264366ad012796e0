"""What the node provides for each of its processes: whether it starts with the node,
and how much of the machine it may use.

Kept in a file that formation-jobs writes; what starts a process reads it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.config import Settings
from appliance.problems import Invalid
from appliance.service import write_json

LEAST: Mapping[str, int] = {
    "cpu_percent": 5,
    "memory_mib": 128,
    "files": 256,
    "tasks": 64,
}
MOST = 1 << 24
_lock = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """0 is no limit. `cpu_percent` is of one core: 150 is one and a half. `files` are
    open at once in each of its processes, `tasks` all their threads."""

    cpu_percent: int = 0
    memory_mib: int = 0
    files: int = 0
    tasks: int = 0


@dataclass(frozen=True)
class Provision:
    enabled: bool = True
    limits: Limits = field(default_factory=Limits)


def provisions_file(settings: Settings) -> Path:
    return settings.data_dir / "services" / "processes.json"


def provisions(settings: Settings) -> dict[str, Provision]:
    """By process; of those left out nothing was asked."""
    try:
        found = json.loads(provisions_file(settings).read_text())
    except FileNotFoundError:
        return {}
    return {
        name: Provision(item["enabled"], Limits(**item["limits"]))
        for name, item in found.items()
    }


def provision(settings: Settings, name: str) -> Provision:
    return provisions(settings).get(name, Provision())


def provide(settings: Settings, name: str, **members: Any) -> Provision:
    """Change it and keep it."""
    with _lock:
        found = provisions(settings)
        found[name] = replace(found.get(name, Provision()), **members)
        document = {key: asdict(item) for key, item in found.items()}
        write_json(provisions_file(settings), document)
        return found[name]


def must_be_enough(limits: Limits, used: Mapping[str, int]) -> None:
    """Raise Invalid where a limit is less than what any process needs, or than what
    this one uses now: `used` by the names of the limits."""
    errors = {}
    for name, value in asdict(limits).items():
        if not value:
            continue
        now, least = used.get(name, 0), LEAST[name]
        if not least <= value <= MOST:
            errors[name] = f"{value}: from {least} to {MOST}, or 0 for no limit."
        elif value < now:
            errors[name] = f"{value}: it needs {now}; give it at least that."
    if errors:
        name, text = next(iter(errors.items()))
        raise Invalid(f"{name} {text}", **errors)
