"""Has another program a port that the node needs?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.admin import processes
from appliance.admin.listeners import OURS, at, holder, is_ours, listeners
from appliance.admin.ports import Port, wanted
from appliance.admin.repairs.issue import Issue, Repair
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import chosen


def find(settings: Settings) -> Iterator[Issue]:
    found = listeners()
    has_names = "form-dns" in (chosen(settings) or ())
    for port in wanted(settings):
        there = at(port, found) if port.process != "dns" or has_names else None
        if there is None:
            continue
        who = holder(settings, there)
        if who != OURS and not is_ours(there, seen_now(settings)):
            yield taken(port, who)


def seen_now(settings: Settings) -> processes.Document:
    """The report may be from before a restart of who listens there."""
    try:
        return processes.look(settings)
    except Problem:
        return {"processes": []}


def taken(port: Port, who: str) -> Issue:
    return Issue(
        "critical",
        f"{port} is taken",
        f"{who} listens there, where formation-{port.process} should.",
        f"End that program and restart formation-{port.process}, or choose another "
        f"port for the node: {port.setting} in the settings.",
        subject=f"{port.kind}-{port.number}",
        link="/admin/settings",
        state=who.partition(" (")[0],
    )


REPAIR = Repair("ports", "Ports", find)
