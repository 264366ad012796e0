"""metrics.db over a day, a month and a year."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from appliance.config import Settings
from appliance.database import metrics
from appliance.metrics import store
from appliance.metrics.readings import Key
from appliance.metrics.rollup import DAY, MOST_POINTS, Point, average

CPU = ("node", "cpu")
NOW = 1_800_000_000 // 3600 * 3600


@pytest.fixture(autouse=True)
def _database(settings: Settings) -> None:
    return None


def measure(start: int, end: int, step: int = 10, key: Key = CPU) -> None:
    """A sawtooth from 0 to 29 over five minutes, without a transaction a sample."""
    with metrics.atomic():
        for time in range(start, end, step):
            store.write(time, {key: float(time // 10 % 30)})


def rows(step: int) -> int:
    query = "select count(*) from sample where step = ?"
    return int(metrics.execute_sql(query, (step,)).fetchone()[0])


def test_an_hour_is_read_as_it_was_written() -> None:
    measure(NOW - 600, NOW)
    step, points = store.read("node", "cpu", NOW - 600, NOW, NOW)
    assert step == 10
    assert [p.time for p in points] == list(range(NOW - 600, NOW, 10))
    assert [p.value for p in points[:3]] == [0.0, 1.0, 2.0]


def test_a_day_is_read_in_steps_of_five_minutes_up_to_now() -> None:
    measure(NOW - 7200, NOW + 150)
    before = store.read("node", "cpu", NOW - DAY, NOW + 150, NOW + 150)
    store.roll_up(NOW + 150)
    after = store.read("node", "cpu", NOW - DAY, NOW + 150, NOW + 150)
    assert before == after  # whether or not the rollup was there yet
    step, points = after
    assert step == 300
    assert {p.value for p in points[:-1]} == {14.5}
    assert points[-1].time == NOW
    assert points[-1].value == 7.0  # the half that there is


def test_rolling_up_twice_or_late_adds_nothing_and_misses_nothing() -> None:
    measure(NOW - 7200, NOW)
    store.roll_up(NOW - 3600)
    store.roll_up(NOW)
    store.roll_up(NOW)
    assert rows(300) == 24
    assert rows(3600) == 2
    weight = metrics.execute_sql("select sum(weight) from sample where step = 3600")
    assert weight.fetchone()[0] == 720


def test_each_tier_is_kept_for_its_time() -> None:
    for ago in (2 * DAY, DAY // 2):
        measure(NOW - ago, NOW - ago + 3600, key=CPU)
        store.roll_up(NOW - ago + 3600)
    store.trim(NOW, 1 << 30)
    assert rows(10) == 360
    assert rows(300) == 24
    store.trim(NOW + 40 * DAY, 1 << 30)
    assert (rows(10), rows(300), rows(3600)) == (0, 0, 2)
    store.trim(NOW + 400 * DAY, 1 << 30)
    assert (rows(3600), store.known("node")) == (0, [])


def test_the_database_stays_within_its_bound() -> None:
    measure(NOW - DAY + 20, NOW)
    full = store.size()
    store.trim(NOW, full // 2)
    assert store.size() <= full // 2
    _, points = store.read("node", "cpu", NOW - 600, NOW, NOW)
    assert points[-1].time == NOW - 10  # the newest stay


def test_what_was_never_measured_has_no_points() -> None:
    assert store.read("node", "disk_read", NOW - 60, NOW, NOW) == (10, [])
    assert store.known("node") == []


def test_latest_leaves_out_what_is_stale() -> None:
    measure(NOW - 600, NOW - 300)
    store.write(NOW, {("node", "memory"): 5.0})
    assert list(store.latest(NOW)) == [("node", "memory")]


def test_a_year_and_more_is_read_in_a_bounded_number_of_points() -> None:
    rows = [(1, 3600, time, 1.0, 360) for time in range(NOW - 365 * DAY, NOW, 3600)]
    store.Series.create(id=1, subject="node", metric="cpu")
    store._put((series, step, Point(*rest)) for series, step, *rest in rows)
    for start, end in ((NOW - 365 * DAY, NOW), (0, NOW), (0, 9e10)):
        step, points = store.read("node", "cpu", start, end, NOW)
        assert 1000 < len(points) <= MOST_POINTS
        assert step % 3600 == 0
        assert sum(p.weight for p in points) == 360 * len(rows)
    assert store.read("node", "cpu", NOW + DAY, 9e10, NOW)[1] == []


@hypothesis_settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 6) | st.integers(1, 500),
            st.sampled_from(("measure", "age")),
        ),
        max_size=60,
    )
)
def test_however_it_ages_what_is_read_is_the_mean_of_what_was_measured(
    events: list[tuple[int, str]],
) -> None:
    """Samples come and are rolled up in whatever order: what is read in a step is the
    mean of the samples in it, and none is counted twice or lost."""
    metrics.execute_sql("delete from sample")
    now, samples = NOW, []
    for steps, what in events:
        now += steps * 10
        if what == "measure":
            samples.append(Point(now, float(steps)))
            store.write(now, {CPU: float(steps)})
        else:
            store.roll_up(now + 7)
            store.trim(now, 1 << 30)
    for start in (NOW, NOW - 2 * DAY, NOW - 40 * DAY):
        step, points = store.read("node", "cpu", start, now, now)
        wanted = average(samples, step)
        assert [(p.time, p.weight) for p in points] == [
            (p.time, p.weight) for p in wanted
        ]
        for found, right in zip(points, wanted, strict=True):
            assert math.isclose(found.value, right.value)
