"""Has another program a port that the node needs?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.admin.listeners import OURS, at, holder, listeners
from appliance.admin.ports import Port, wanted
from appliance.admin.repairs.issue import Issue, Repair
from appliance.config import Settings
from appliance.service import chosen


def find(settings: Settings) -> Iterator[Issue]:
    found = listeners()
    has_names = "form-dns" in (chosen(settings) or ())
    for port in wanted(settings):
        there = at(port, found) if port.process != "dns" or has_names else None
        who = holder(settings, there) if there else OURS
        if who != OURS:
            yield taken(port, who)


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
