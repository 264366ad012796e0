"""Service: what a service declares, and how its runtime is run.

The declaration is data; registry, pages, wizard, status and CLI read it. The
runtime lives in the owning process, which writes its state where all can read.
Services are found by entry points, so nothing here imports them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, Protocol

from appliance import clock
from appliance.config import Settings, settings

State = Literal[
    "waiting", "starting", "running", "degraded", "stopping", "stopped", "failed"
]
Process = Literal["state", "jobs", "dns", "gateway", "web"]
STALE_S = 30.0


class Runtime(Protocol):
    """What runs in the owning process once the service is started."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def reload(self) -> None: ...
    def status(self) -> tuple[State, str]:
        """The state and its reason; the reason is empty when all is well."""
        ...


class Served:
    """A runtime of what its process does anyway: there is nothing to start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        return None

    def stop(self) -> None:
        return None

    def reload(self) -> None:
        self._settings = settings()

    def status(self) -> tuple[State, str]:
        return "running", ""


@dataclass(frozen=True)
class Verdict:
    """Outcome of a check; `cure` says what to do when it is not `ok`.

    `pending`: the answer comes soon, ask again.
    """

    ok: bool
    text: str
    cure: str = ""
    warning: bool = False
    pending: bool = False


@dataclass(frozen=True)
class Check:
    """One thing that should be so; the wizard and the pages show it."""

    name: str
    title: str
    run: Callable[[Settings], Verdict]


@dataclass(frozen=True)
class Eyes:
    """What an account sees of agents, by their full names: which it `knows`, and of
    which it sees the instances. `sees_all` spares asking one by one."""

    sees_all: bool
    knows: Callable[[str], bool]
    sees: Callable[[str | None], bool]


@dataclass(frozen=True)
class Page:
    """A page that the navigation leads to.

    `heading` is what it stands under there: empty for what people look at daily
    (on a phone the bar at the bottom), else Network, Federation, Administration
    or one of a plug-in's own. Lower ranks stand higher. `count`, where there is
    one, says how many things the page lists for an account of these eyes.
    """

    path: str
    title: str
    heading: str = ""
    rank: int = 50
    role: str = "account"
    count: Callable[[Eyes], int] | None = None


@dataclass(frozen=True)
class Chart:
    """What a service's page draws of it: metrics of `node` in one unit. `most` is the
    top of the scale, where it is known."""

    title: str
    metrics: tuple[str, ...]
    most: float | None = None


@dataclass(frozen=True)
class Service:
    """A service's declaration. `without` says what is missing while it is stopped."""

    name: str
    title: str
    segment: str
    process: Process
    runtime: Callable[[Settings], Runtime]
    section: str | None = None
    depends: tuple[str, ...] = ()
    always: bool = False
    summary: str = ""
    pages: tuple[Page, ...] = ()
    checks: Callable[[], tuple[Check, ...]] = tuple
    operations: str | None = None
    measures: str | None = None
    charts: tuple[Chart, ...] = ()
    without: str = ""


@dataclass(frozen=True)
class Status:
    """What the owning process says of a service."""

    state: State
    reason: str = ""
    since: float = 0.0
    beat: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


def plugins(group: str) -> Mapping[str, Any]:
    """What installed packages offer in an entry-point group, by name."""
    return {point.name: point.load() for point in entry_points(group=group)}


@cache
def services() -> Mapping[str, Service]:
    """All installed services by name, in dependency order."""
    found = plugins("formation.services")
    graph = {name: set(item.depends) & set(found) for name, item in found.items()}
    return {name: found[name] for name in TopologicalSorter(graph).static_order()}


def by_segment(segment: str) -> Service | None:
    """The service whose URL segment this is."""
    return next((s for s in services().values() if s.segment == segment), None)


def at_path(path: str) -> Service | None:
    """The service whose API answers at this path."""
    parts = path.partition("?")[0].split("/")
    return by_segment(parts[3]) if parts[1:3] == ["api", "v1"] and parts[3:] else None


UNSET = "the set-up is not done"


def chosen_file(settings: Settings) -> Path:
    return settings.data_dir / "services" / "chosen.json"


def chosen(settings: Settings) -> frozenset[str] | None:
    """Names of the services that should run; None until set-up is done."""
    try:
        return frozenset(json.loads(chosen_file(settings).read_text()))
    except FileNotFoundError:
        return None


def choose(settings: Settings, names: Iterable[str]) -> None:
    """Write which services should run; those marked `always` are added."""
    always = {name for name, service in services().items() if service.always}
    write_json(chosen_file(settings), sorted(always | set(names)))


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Replace `path` in one step, so that a reader sees old or new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.chmod(mode)
    draft.replace(path)


def status_file(settings: Settings, service: Service) -> Path:
    return settings.run_dir / service.process / f"{service.name}.json"


def forget_statuses(settings: Settings) -> None:
    """Of a node that ended; the one that starts has no word of its processes yet."""
    for service in services().values():
        status_file(settings, service).unlink(missing_ok=True)


def write_status(settings: Settings, service: Service, status: Status) -> None:
    write_json(status_file(settings, service), asdict(status))


def read_status(settings: Settings, service: Service) -> Status:
    """The last word of the owning process; `failed` when it fell silent."""
    try:
        status = Status(**json.loads(status_file(settings, service).read_text()))
    except (FileNotFoundError, ValueError):
        return Status("waiting", f"formation-{service.process} has not started yet")
    if clock.now() - status.beat > STALE_S:
        return Status(
            "failed",
            f"formation-{service.process} is silent for "
            f"{clock.now() - status.beat:.0f} s",
            status.since,
            status.beat,
        )
    return status
