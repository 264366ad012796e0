"""What the dashboard says first: how the instances are, and what deserves attention.

Pure. Sentences come in the order of their weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from appliance.service import Status

NEARLY_FULL = 0.9
SENTENCES = 3
Instance = Mapping[str, Any]


def answer(instances: Sequence[Instance]) -> str:
    """The heading: of the instances that should run, how many are healthy."""
    if not instances:
        return "No agents run yet"
    wanted = [one for one in instances if one["desired"] == "running"]
    if not wanted:
        return f"{_count(len(instances), 'instance')} stopped, none should run"
    healthy = sum(one["state"] == "healthy" for one in wanted)
    if healthy == len(wanted) == 1:
        return "The instance is healthy"
    if healthy == len(wanted):
        return f"All {healthy} instances are healthy"
    verb = "is" if len(wanted) == 1 else "are"
    return f"{healthy} of {_count(len(wanted), 'instance')} {verb} healthy"


def attention(
    services: Mapping[str, Status],
    instances: Iterable[Instance],
    disk_used: float,
    alerts: Iterable[str] = (),
) -> str:
    """One quiet paragraph; `disk_used` is a share, 0 to 1. `alerts` are sentences of
    what fires besides."""
    found = [
        *_of_services(services),
        *_of_instances(instances),
        *_of_disk(disk_used),
        *(_sentence(alert, "") for alert in alerts),
    ]
    running = sum(status.state == "running" for status in services.values())
    first = f"All {running} services run." if running == len(services) else ""
    rest = len(found) - SENTENCES
    more = f"And {rest} more." if rest > 0 else ""
    return " ".join(filter(None, [first, *islice(found, SENTENCES), more]))


def _of_services(services: Mapping[str, Status]) -> Iterator[str]:
    for name, status in services.items():
        if status.state != "running":
            yield _sentence(f"{name} is {status.state}", status.reason)


def _of_instances(instances: Iterable[Instance]) -> Iterator[str]:
    for one in instances:
        if one["desired"] == "running" and one["state"] in ("unhealthy", "failed"):
            yield _sentence(f"{one['name']} is {one['state']}", one["reason"])


def _of_disk(used: float) -> Iterator[str]:
    if used >= NEARLY_FULL:
        yield f"The disk is {used:.0%} full.".replace("%", " %")


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why.rstrip('.')}." if why else f"{what}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
