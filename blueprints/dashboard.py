"""The dashboard: how the node is, told at a glance and kept up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
from flask import Blueprint, g, redirect, render_template

from appliance import clock, events, metrics, operations, state
from appliance.admin import alerts, setup
from appliance.admin.attention import answer, attention
from appliance.config import settings
from appliance.service import Status, chosen, read_status, services
from blueprints import live
from blueprints.access import (
    may,
    may_change,
    may_see,
    may_see_operation,
    requires,
)
from blueprints.broadcast import Update
from blueprints.charting import SpanQuery
from blueprints.contract import read_query
from blueprints.vmm import seen_gpus
from blueprints.words import percent, rate, size

blueprint = Blueprint("dashboard", __name__)
PARTS = ("answer", "instances", "services", "running", "events")
LINES = 3
CHARTED = {
    "cpu": ("cpu",),
    "memory": ("memory", "memory_promised"),
    "disk": ("disk_used",),
    "network": ("net_in", "net_out"),
    "tasks": ("tasks", "tasks_failed"),
}
Latest = Mapping[tuple[str, str], metrics.Point]


@dataclass(frozen=True)
class Figure:
    """One number with its chart; `most` is the top of the chart, where it is known."""

    name: str
    title: str
    value: str
    note: str
    metrics: tuple[str, ...]
    most: float | None = None


@blueprint.get("/")
@requires("account")
def page() -> Any:
    if not setup.is_done(settings()):
        return redirect("/setup/")
    span = read_query(SpanQuery).span
    return render_template("admin/dashboard.html", span=span, **overview())


@live.view("dashboard")
def update(subject: str) -> Update:
    shown = overview()
    fragments = live.fragments("admin/dashboard", PARTS, shown)
    if shown["gpus"]:
        gpus = render_template("admin/dashboard/gpus.html", **shown)
        fragments["gpus"] = gpus
    for figure in shown["figures"]:
        fragments[f"figure-{figure.name}"] = render_template(
            "admin/dashboard/figure.html", figure=figure
        )
    return Update(fragments, live.points(metrics.NODE))


def overview() -> dict[str, Any]:
    """What all parts of the page show."""
    found = [r for r in state.select("instance") if may_see(r.body.get("agent"))]
    at_work = [o for o in operations.recent(20, live=True) if may_see_operation(o)]
    latest = metrics.latest(clock.now())
    disk = psutil.disk_usage(str(settings().data_dir))
    wanted = wanted_services()
    bodies = [record.body for record in found]
    return {
        "instances": found,
        "answer": answer(bodies),
        "attention": attention(wanted, bodies, disk.percent / 100, firing()),
        "figures": figures(latest, disk.total, disk.free),
        "gpus": seen_gpus(),
        "latest": latest,
        "services": [(s, read_status(settings(), s)) for s in services().values()],
        "running": [running(row) for row in at_work[:3]],
        "events": lately({record.id for record in found})[:8],
    }


def firing() -> list[str]:
    """What alerts say that the rest of the page does not, for who may see them."""
    return alerts.other_sentences() if may(g.account, "auditor") else []


def wanted_services() -> dict[str, Status]:
    wanted = chosen(settings()) or frozenset()
    return {
        name: read_status(settings(), service)
        for name, service in services().items()
        if name in wanted
    }


def running(row: operations.Operation) -> dict[str, Any]:
    """An operation at work, with the end of its log."""
    lines = operations.log_lines(row.id)[-LINES:]
    mine = row.account == g.account.id
    return {
        **operations.as_document(row),
        "since": row.started or row.created,
        "may_cancel": mine or may_change(operations.owner_of(row)),
        "lines": lines,
    }


def lately(instances: set[str]) -> list[events.Event]:
    """What happened: all of it, or what concerns the caller's own."""
    if may(g.account, "auditor"):
        return events.lately(8)
    return [
        event
        for event in events.lately(100)
        if event.subject in instances or may_see(event.subject.partition("@")[0])
    ]


def figures(latest: Latest, disk_total: float, disk_free: float) -> list[Figure]:
    """CPU, memory, disk, network, tasks; a dash for what was not measured yet."""
    now = {m: point.value for (of, m), point in latest.items() if of == metrics.NODE}
    memory = float(psutil.virtual_memory().total)
    cores = f"of {psutil.cpu_count()} cores"
    promised = shown(now.get("memory_promised"), size)
    tasks = tasks_note(now.get("tasks"), now.get("tasks_failed"))
    rows = (
        ("cpu", "CPU", shown(now.get("cpu"), percent), cores),
        (
            "memory",
            "Memory",
            shown(now.get("memory"), size),
            f"of {size(memory)}, {promised} promised",
        ),
        ("disk", "Disk", size(disk_free), f"free of {size(disk_total)}"),
        (
            "network",
            "Network",
            shown(now.get("net_in"), rate),
            f"in, {shown(now.get('net_out'), rate)} out",
        ),
        ("tasks", "Tasks", shown(now.get("tasks"), "{:.0f}".format), tasks),
    )
    most = {"cpu": 100.0, "memory": memory, "disk": float(disk_total)}
    return [Figure(*row, CHARTED[row[0]], most.get(row[0])) for row in rows]


def shown(value: float | None, words: Callable[[float], str]) -> str:
    return "–" if value is None else words(value)


def tasks_note(ended: float | None, failed: float | None) -> str:
    if not ended or failed is None:
        return "a minute"
    share = 100 * failed / ended
    return f"a minute, {share:.1f} % failed" if failed else "a minute, none failed"
