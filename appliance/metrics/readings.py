"""What a measurement is made from, and growth per second from counters. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

Key = tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """One number as it was read.

    Of a `counter`, which only grows, the growth per second is kept. Readings of one
    subject and metric that differ in `part` are added up, each with its own growth.
    """

    subject: str
    metric: str
    value: float
    counter: bool = False
    part: str = ""
    time: float | None = None


class Rates:
    """Remembers counters from one round to the next."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, str], tuple[float, float]] = {}

    def values(self, readings: Iterable[Reading], now: float) -> dict[Key, float]:
        """Values by (subject, metric); what is not known yet is left out."""
        found: dict[Key, float] = {}
        seen: dict[tuple[str, str, str], tuple[float, float]] = {}
        for reading in readings:
            key = (reading.subject, reading.metric, reading.part)
            time = now if reading.time is None else reading.time
            value = reading.value
            if reading.counter:
                seen[key] = (time, reading.value)
                value = _growth(self._before.get(key), (time, reading.value))
            if math.isfinite(value):
                found[key[:2]] = found.get(key[:2], 0.0) + value
        self._before = seen
        return found


def _growth(before: tuple[float, float] | None, after: tuple[float, float]) -> float:
    """Per second; not a number at first, and when the counter began anew."""
    if before is None or after[0] <= before[0] or after[1] < before[1]:
        return math.nan
    return (after[1] - before[1]) / (after[0] - before[0])
