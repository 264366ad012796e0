"""What a bundle holds: a function for each of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from statistics import fmean
from typing import Any

from appliance import audit, clock, events, metrics, operations
from appliance.admin import logs, processes, settings_file
from appliance.admin.alerts import delivery
from appliance.admin.alerts import store as alerts
from appliance.admin.configuration import entries, errors
from appliance.admin.repairs import looking
from appliance.admin.support import facts
from appliance.config import Settings
from appliance.problems import Unavailable
from appliance.service import read_status, services

Document = Any
LINES, ROWS = 2000, 500
DAY_S = 86400.0


def settings(config: Settings) -> Document:
    """Each with its source; the file's own text, with its comments, is left out."""
    found = settings_file.read()
    return {
        "file": str(found.path),
        "wrong": errors(found.text),
        "settings": [
            {"name": one.option.name, "value": one.value, "source": one.source}
            for one in entries(found.text)
        ],
    }


def states(config: Settings) -> Document:
    return {
        name: asdict(read_status(config, service))
        for name, service in services().items()
    }


def seen(config: Settings) -> Document:
    """Processes and engines, looked at now."""
    return processes.look(config)


def checks(config: Settings) -> Document:
    """What the checks of repairs find now."""
    if not config.data_dir.exists():
        raise Unavailable("no-node", f"{config.data_dir} is not there.")
    return looking.find_all(config)


def measured(config: Settings) -> Document:
    """The last of everything, and a day of the node."""
    now, latest = clock.now(), {}
    for (subject, metric), point in metrics.latest(now).items():
        latest[f"{subject} {metric}"] = point.value
    day = {}
    for metric in metrics.known(metrics.NODE):
        _, points = metrics.read(metrics.NODE, metric, now - DAY_S, now, now)
        if values := [point.value for point in points]:
            span = {"least": min(values), "mean": fmean(values), "most": max(values)}
            day[metric] = {**span, "points": len(values)}
    return {"latest": latest, "day": day}


def told(config: Settings) -> Document:
    """Alerts that are pending or fire, and how they were told; not to which address."""
    rows = delivery.lately(50)
    keys = ("message", "target", "state", "tries", "outcome")
    return {
        "alerts": [asdict(alert) for alert in alerts.live()],
        "deliveries": [{key: getattr(row, key) for key in keys} for row in rows],
    }


def audited(config: Settings) -> Document:
    keys = ("account", "address", "action", "subject", "outcome")
    return [
        {"time": clock.rfc3339(row.time), **{key: getattr(row, key) for key in keys}}
        for row in audit.rows(ROWS)
    ]


def happened(config: Settings) -> Document:
    return [
        {"time": clock.rfc3339(e.time), "level": e.level, "text": e.text}
        for e in events.lately(ROWS)
    ]


def operated(config: Settings) -> Document:
    """Operations with steps and errors; their logs, which may be of builds, stay."""
    return [operations.as_document(row) for row in operations.recent(50)]


def log(config: Settings, name: str) -> str:
    """The newest lines of one process."""
    found, _ = logs.find(config, logs.Wanted(process=name), LINES)
    return "".join(
        f"{clock.rfc3339(e.time)} {e.level} {f'[{e.request}] ' if e.request else ''}"
        f"{e.text}\n"
        for e in found
    )


PARTS: dict[str, Callable[[Settings], Document]] = {
    "versions.json": facts.versions,
    "host.json": facts.host,
    "settings.json": settings,
    "services.json": states,
    "processes.json": seen,
    "kernel.txt": facts.kernel,
    "checks.json": checks,
    "libvirt.json": facts.libvirt,
    "network.json": facts.network,
    "records.json": facts.records,
    "metrics.json": measured,
    "alerts.json": told,
    "operations.json": operated,
    "events.json": happened,
    "audit.json": audited,
}


def all_parts(config: Settings) -> Iterator[tuple[str, Callable[[Settings], Document]]]:
    """(file, what makes it); logs last, a file for each process that wrote one."""
    yield from PARTS.items()
    for name in logs.names(config):
        yield f"logs/{name}.log", partial(log, name=name)
