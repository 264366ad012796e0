"""What builds came to: kept in node.db, and measured over the last hour."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from peewee import AutoField, FloatField, IntegerField, TextField

from appliance import clock
from appliance.database import NodeModel, jot, keep_newest, node
from appliance.problems import Problem

KEPT = 5000
QUERY = """
select count(*), sum(state = 'failed'), avg(case when state = 'done' then seconds end),
       sum(made), sum(cached)
from build where ended > ?
"""


class Build(NodeModel):
    """A build that ended. `state`: done, reused (its image was there), failed,
    canceled; `made` and `cached` are layers."""

    id = AutoField()
    ended = FloatField()
    seconds = FloatField()
    state = TextField()
    made = IntegerField()
    cached = IntegerField()


@dataclass
class Tally:
    """What a build counts while it is at work."""

    made: int = 0
    cached: int = 0
    reused: bool = False


@dataclass(frozen=True)
class Summary:
    """Builds that ended in some time; `seconds` is the mean of those that made an
    image, None where none did."""

    ended: int
    failed: int
    seconds: float | None
    made: int
    cached: int


@contextlib.contextmanager
def noted(is_canceled: Callable[[], bool]) -> Iterator[Tally]:
    """Count a build, and keep how it ended. One that its process leaves to the next
    has not ended."""
    began, tally = time.monotonic(), Tally()
    try:
        yield tally
    except Problem:
        _keep(tally, began, "canceled" if is_canceled() else "failed")
        raise
    _keep(tally, began, "reused" if tally.reused else "done")


def _keep(tally: Tally, began: float, state: str) -> None:
    row = Build.insert(
        ended=clock.now(),
        seconds=time.monotonic() - began,
        state=state,
        made=tally.made,
        cached=tally.cached,
    )
    jot(row)


def trim() -> int:
    """Drop all but the newest; says how many went."""
    return keep_newest(Build, KEPT)


def since(moment: float) -> Summary:
    """Of the builds that ended after this."""
    ended, failed, seconds, made, cached = node.execute_sql(QUERY, (moment,)).fetchone()
    return Summary(ended, failed or 0, seconds, made or 0, cached or 0)
