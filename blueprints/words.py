"""Numbers and times in the words that people use; filters of the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from appliance import clock
from appliance.metrics import METRICS
from appliance.plain import pretty


def ago(seconds: float | None) -> str:
    """How long ago, or how long until, in words."""
    if seconds is None:
        return "–"
    future = seconds > clock.now()
    apart = abs(clock.now() - seconds)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if apart >= length:
            count = round(apart / length) if future else int(apart // length)
            length_text = f"{count} {unit}{'s' if count > 1 else ''}"
            return f"in {length_text}" if future else f"{length_text} ago"
    return "soon" if future else "just now"


def exact(seconds: float) -> str:
    """`2026-01-02 03:04:05 UTC`, for the hover over a relative time."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment(text: str | None) -> float | None:
    """Seconds since the epoch of a record's time; None where it is none."""
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return None


def lasting(since: float) -> str:
    """How long something lasts that goes on: `41 s`, `3 min`, `2 h`."""
    past = max(0, int(clock.now() - since))
    if past < 120:
        return f"{past} s"
    return f"{past // 60} min" if past < 7200 else f"{past // 3600} h"


def size(count: float) -> str:
    """Bytes in the unit that people use."""
    if count < 1000:
        return f"{count:.0f} B"
    count /= 1000
    for unit in ("kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def rate(count: float) -> str:
    return f"{size(count)}/s"


def percent(value: float) -> str:
    return f"{value:.0f} %"


def measured(point: Any, words: str) -> str:
    """A measured point by the filter named `words`; a dash where there is none."""
    return FILTERS[words](point.value) if point else "–"


def metric_title(metric: str) -> str:
    known = METRICS.get(metric)
    return known.title if known else metric


def in_words(point: Any, metric: str) -> str:
    """A measured point in its metric's unit; a dash where there is none."""
    if not point:
        return "–"
    unit = METRICS[metric].unit if metric in METRICS else ""
    words = {"percent": percent, "bytes": size, "bytes/s": rate}.get(unit)
    if words:
        return words(point.value)
    number, (_, by, time) = f"{round(point.value, 2):g}", unit.partition("/")
    return f"{number}/{time}" if by else f"{number} {unit}".rstrip()


def combine(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """`first` with what `second` has, where that is not empty."""
    return {**first, **{key: value for key, value in second.items() if value}}


def ticked(text: str) -> Markup:
    """A text whose `parts` in back ticks become code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S704


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "exact": exact,
    "moment": moment,
    "lasting": lasting,
    "size": size,
    "rate": rate,
    "percent": percent,
    "whole": "{:.0f}".format,
    "measured": measured,
    "metric_title": metric_title,
    "in_words": in_words,
    "pretty": pretty,
    "rfc3339": clock.rfc3339,
    "from_json": json.loads,
    "combine": combine,
    "ticked": ticked,
}
