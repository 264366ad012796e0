"""Measurements: points for charts, and Prometheus' view of the node."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from appliance import clock, metrics, state
from appliance.admin import programs
from appliance.config import settings
from appliance.problems import Invalid, NotFound
from blueprints.access import must_see, requires
from blueprints.contract import answers, asks
from blueprints.shapes.admin import Metrics, MetricsQuery, Series

blueprint = Blueprint("metrics", __name__)
SPAN_S = 3600.0


@blueprint.get("/api/v1/admin/metrics")
@requires("account")
@asks(MetricsQuery)
@answers(Metrics | Series, problems=(404, 422))
def points(query: MetricsQuery) -> Any:
    """Points of one metric between `from` and `to`; without `metric` the last of
    each. A point is [seconds since the epoch, value]."""
    if query.subject != metrics.NODE:
        must_be_seen(query.subject)
    if query.metric is None:
        return jsonify(latest(query.subject))
    return jsonify(series(query, query.metric))


def must_be_seen(subject: str) -> None:
    """An instance's owner sees its measurements; of one that is gone auditors. Those of
    processes are for everyone, as the list of processes is."""
    prefix = metrics.process("")
    if subject.startswith(prefix):
        programs.known(settings(), subject.removeprefix(prefix))
        return
    found = state.find("instance", subject)
    if found is None and not metrics.known(subject):
        raise NotFound(
            "instance-unknown", f"There is no instance {subject}; subject=node is this."
        )
    must_see(found.body.get("agent") if found else None)


def latest(subject: str) -> dict[str, Any]:
    found = {
        metric: {"time": point.time, "value": point.value, "unit": unit(metric)}
        for (of, metric), point in sorted(metrics.latest(clock.now()).items())
        if of == subject
    }
    return {"subject": subject, "metrics": found}


def series(query: MetricsQuery, metric: str) -> dict[str, Any]:
    subject = query.subject
    if metric not in {*metrics.METRICS, *metrics.known(subject)}:
        names = ", ".join(metrics.METRICS)
        raise Invalid(f"Nothing is measured as {metric!r}; known: {names}.")
    now = clock.now()
    end = moment("to", query.to, now)
    start = moment("from", query.start, end - SPAN_S)
    if start > end:
        raise Invalid("`from` is later than `to`; exchange them.")
    step, found = metrics.read(subject, metric, start, end, now)
    return {
        "subject": subject,
        "metric": metric,
        "title": title(metric),
        "unit": unit(metric),
        "step": step,
        "points": [[point.time, point.value] for point in found],
    }


def title(metric: str) -> str:
    known = metrics.METRICS.get(metric)
    return known.title if known else metric


def unit(metric: str) -> str:
    known = metrics.METRICS.get(metric)
    return known.unit if known else ""


def moment(name: str, text: str | None, default: float) -> float:
    """Seconds since the epoch from a parameter: those, or RFC 3339."""
    if text is None:
        return default
    try:
        found = float(text) if is_number(text) else of_date(text)
    except (ValueError, OverflowError):
        found = -1.0
    if not 0 <= found < 1e11:
        raise Invalid(
            f"{name}={text[:40]!r} is no time: seconds since the epoch, or "
            "2026-01-02T03:04:05Z.",
            **{name: "no time"},
        )
    return found


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def of_date(text: str) -> float:
    date = datetime.fromisoformat(text)
    if date.tzinfo is None:
        raise ValueError("no time zone")
    return date.timestamp()


@blueprint.get("/metrics")
@requires("auditor")
@answers(media="text/plain", text="As `Accept` asks.")
@answers(media="application/openmetrics-text")
def prometheus() -> Any:
    """What Prometheus scrapes; it sends an API token as Bearer."""
    from blueprints.prometheus import exposition

    body, kind = exposition(request.headers.get("Accept", ""))
    return Response(body, content_type=kind)
