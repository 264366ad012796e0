"""What was asked of services since the node started: to run or not, to begin again,
to read their settings again.

formation-jobs writes it down for all to read; the process of a service compares it
with what it has done. At the next start of the node it is forgotten: then the services
run that are enabled.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from appliance.config import Settings
from appliance.service import chosen, write_json

Verb = Literal["start", "stop", "restart", "reload", "enable", "disable"]
VERBS: tuple[Verb, ...] = get_args(Verb)
_lock = threading.Lock()


@dataclass(frozen=True)
class Wish:
    """`run` is None where nobody asked, `restarts` and `reloads` count."""

    run: bool | None = None
    restarts: int = 0
    reloads: int = 0


def wishes_file(settings: Settings) -> Path:
    return settings.run_dir / "jobs" / "wishes.json"


def wishes(settings: Settings) -> dict[str, Wish]:
    """By service; those of whom nothing was asked are left out."""
    try:
        found = json.loads(wishes_file(settings).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: Wish(**members) for name, members in found.items()}


def forget(settings: Settings) -> None:
    """The node starts anew."""
    wishes_file(settings).unlink(missing_ok=True)


def should_run(settings: Settings, asked: Mapping[str, Wish], name: str) -> bool:
    """Whether the service is to run now."""
    run = asked.get(name, Wish()).run
    return name in (chosen(settings) or ()) if run is None else run


def ask(settings: Settings, name: str, **members: bool | int) -> Wish:
    """Write down what is asked of a service."""
    with _lock:
        found = wishes(settings)
        found[name] = replace(found.get(name, Wish()), **members)  # type: ignore[arg-type]
        document = {key: asdict(wish) for key, wish in found.items()}
        write_json(wishes_file(settings), document)
        return found[name]
