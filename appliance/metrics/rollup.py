"""How measurements age: which steps are kept how long, and how they are averaged.

Pure. A point stands for the `step` seconds that begin at its time; its weight says
how many samples it averages, so that averages of averages stay exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

DAY = 86400
MOST_POINTS = 1500


@dataclass(frozen=True)
class Tier:
    """Points of `step` seconds are kept for `keep` seconds."""

    step: int
    keep: int


TIERS = (Tier(10, DAY), Tier(300, 31 * DAY), Tier(3600, 366 * DAY))


class Point(NamedTuple):
    time: int
    value: float
    weight: int = 1


def floor(time: float, step: int) -> int:
    """The beginning of the step that `time` lies in."""
    return int(time // step * step)


def average(points: Iterable[Point], step: int) -> list[Point]:
    """One weighted mean for each step that has points; `points` are in order."""
    grouped = groupby(points, key=lambda point: floor(point.time, step))
    return [_mean(time, list(group)) for time, group in grouped]


def _mean(time: int, points: list[Point]) -> Point:
    weight = sum(point.weight for point in points)
    mean = sum(point.value * point.weight for point in points) / weight
    lowest = min(point.value for point in points)
    highest = max(point.value for point in points)
    return Point(time, min(max(mean, lowest), highest), weight)  # rounding stays inside


def resolution(start: float, end: float, now: float) -> tuple[Tier, int]:
    """The finest tier that reaches back to `start` with at most MOST_POINTS, and the
    step of its points; where no tier does, several points of the coarsest are one."""
    for tier in TIERS:
        reaches = now - start <= tier.keep
        if reaches and steps_between(start, end, tier.step) <= MOST_POINTS:
            return tier, tier.step
    step = TIERS[-1].step
    while steps_between(start, end, step) > MOST_POINTS:
        step *= 2
    return TIERS[-1], step


def steps_between(start: float, end: float, step: int) -> int:
    """How many steps have a part of the span."""
    return int(end // step - start // step) + 1


def oldest(tier: Tier, now: float, share: float = 1.0) -> int:
    """Points before this are dropped; `share` of the time is kept when space is
    short."""
    return floor(now - tier.keep * share, tier.step)
