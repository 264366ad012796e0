"""What pages draw: which charts there are of what, and how far back they go."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from appliance import clock, metrics
from appliance.service import Chart, Service
from blueprints.contract import read_query
from blueprints.shapes import Query

ANSWERING = ("web", "gateway")
USED = (
    Chart("CPU of the process, of one core", ("process_cpu",)),
    Chart("Memory of the process", ("process_memory",)),
)
ANSWERED = Chart("Requests a second", ("requests", "requests_failed"))
INSTANCE = (
    Chart("CPU", ("cpu",), 100),
    Chart("Memory", ("memory",)),
    Chart("Network", ("net_in", "net_out")),
    Chart("Disk", ("disk_read", "disk_written")),
    Chart("Tasks a minute", ("tasks", "tasks_failed")),
)
Drawn = list[tuple[str, Chart]]
"""Charts, each with its subject."""


class SpanQuery(Query):
    """How far back a page's charts go."""

    span: Literal["hour", "day", "month", "year"] = Field("hour")


def shown(charts: Drawn) -> dict[str, Any]:
    """What the macros of ui/charts.html need."""
    return {
        "charts": charts,
        "span": read_query(SpanQuery).span,
        "latest": metrics.latest(clock.now()),
    }


def of_process(name: str) -> Drawn:
    charts = (*USED, ANSWERED) if name in ANSWERING else USED
    return [(metrics.process(name), chart) for chart in charts]


def of_service(service: Service) -> Drawn:
    """What it draws of itself, and what its process uses."""
    own = [(metrics.NODE, chart) for chart in service.charts]
    return [*own, *of_process(service.process)]


def of_instance(id_: str) -> Drawn:
    return [(id_, chart) for chart in INSTANCE]
