"""metrics.db: series of points, rolled up and trimmed.

formation-jobs writes; every process reads. A series is (subject, metric), where the
subject is `node`, `process/NAME` or an instance's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from peewee import AutoField, CompositeKey, FloatField, IntegerField, TextField

from appliance.database import MetricsModel, metrics
from appliance.metrics.readings import Key
from appliance.metrics.rollup import (
    TIERS,
    Point,
    Tier,
    average,
    floor,
    oldest,
    resolution,
)

STEP = TIERS[0].step


class Series(MetricsModel):
    id = AutoField()
    subject = TextField()
    metric = TextField()


class Sample(MetricsModel):
    series = IntegerField()
    step = IntegerField()
    time = IntegerField()
    value = FloatField()
    weight = IntegerField()

    class Meta:
        primary_key = CompositeKey("series", "step", "time")


def write(time: float, values: Mapping[Key, float]) -> None:
    """Keep the samples of one round."""
    with metrics.atomic("immediate"):
        ids = _ids()
        for subject, metric in values.keys() - ids.keys():
            row = Series.create(subject=subject, metric=metric)
            ids[subject, metric] = row.id
        moment = floor(time, STEP)
        _put((ids[key], STEP, Point(moment, value)) for key, value in values.items())


def _ids() -> dict[Key, int]:
    """Of every series: a node with many instances has thousands."""
    rows = metrics.execute_sql("select subject, metric, id from series").fetchall()
    return {(subject, metric): int(id_) for subject, metric, id_ in rows}


def _put(rows: Iterable[tuple[int, int, Point]]) -> None:
    metrics.cursor().executemany(
        "insert or replace into sample (series, step, time, value, weight) "
        "values (?, ?, ?, ?, ?)",
        ((series, step, *point) for series, step, point in rows),
    )


def _points(series: int, step: int, start: int, end: int) -> list[Point]:
    """Points with start <= time < end, in order."""
    rows = metrics.execute_sql(
        "select time, value, weight from sample "
        "where series=? and step=? and time>=? and time<? order by time",
        (series, step, start, end),
    )
    return [Point(*row) for row in rows.fetchall()]


def _edge(series: int, step: int, which: str) -> int | None:
    """Time of the first (`min`) or last (`max`) point."""
    query = f"select {which}(time) from sample where series=? and step=?"  # noqa: S608
    found = metrics.execute_sql(query, (series, step)).fetchone()[0]
    return None if found is None else int(found)


def roll_up(now: float) -> None:
    """Average what is complete into the coarser tiers."""
    for row in list(Series.select()):
        with metrics.atomic("immediate"):
            for finer, tier in zip(TIERS, TIERS[1:], strict=False):
                _roll(row.id, finer, tier, now)


def _roll(series: int, finer: Tier, tier: Tier, now: float) -> None:
    last = _edge(series, tier.step, "max")
    start = _edge(series, finer.step, "min") if last is None else last + tier.step
    if start is None:
        return
    points = _points(series, finer.step, start, floor(now, tier.step))
    _put((series, tier.step, point) for point in average(points, tier.step))


def trim(now: float, most_bytes: int) -> None:
    """Drop what is too old; where space is short, what is oldest."""
    share = 1.0
    _drop(now, share)
    while size() > most_bytes and share > 0.01:
        share /= 2
        _drop(now, share)
    metrics.execute_sql(
        "delete from series where id not in (select distinct series from sample)"
    )


def _drop(now: float, share: float) -> None:
    with metrics.atomic("immediate"):
        for row in list(Series.select()):
            for tier in TIERS:
                metrics.execute_sql(
                    "delete from sample where series=? and step=? and time<?",
                    (row.id, tier.step, oldest(tier, now, share)),
                )


def size() -> int:
    """Bytes of metrics.db that hold something."""
    pages, free, each = (
        int(metrics.execute_sql(f"pragma {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * each


def known(subject: str) -> list[str]:
    """Metrics that were ever measured of a subject and are kept."""
    rows = Series.select().where(Series.subject == subject).order_by(Series.metric)
    return [row.metric for row in rows]


def read(
    subject: str, metric: str, start: float, end: float, now: float
) -> tuple[int, list[Point]]:
    """The step in seconds that fits the span, and its points, MOST_POINTS at most;
    gaps stay gaps. Of the span only what may be kept counts."""
    start, end = max(start, oldest(TIERS[-1], now)), min(end, now)
    if start > end:
        return STEP, []
    tier, step = resolution(start, end, now)
    row = Series.get_or_none((Series.subject == subject) & (Series.metric == metric))
    if row is None:
        return step, []
    points: list[Point] = []
    begin = floor(start, step)
    for finer in reversed(TIERS[: TIERS.index(tier) + 1]):
        points += _points(row.id, finer.step, begin, int(end) + 1)
        if points:
            begin = max(begin, points[-1].time + finer.step)
    return step, average(points, step)


def latest(now: float, age: float = 3 * STEP) -> dict[Key, Point]:
    """The last sample of every series that is not older than `age` seconds."""
    rows = metrics.execute_sql(
        "select subject, metric, max(time), value from series join sample "
        "on series = series.id and step = ? and time >= ? group by series.id",
        (STEP, int(now - age)),
    )
    return {(row[0], row[1]): Point(row[2], row[3]) for row in rows.fetchall()}
