"""The rules by which measurements age."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from appliance.metrics.rollup import (
    MOST_POINTS,
    TIERS,
    Point,
    Tier,
    average,
    floor,
    oldest,
    resolution,
    steps_between,
)

values = st.floats(-1e12, 1e12)
times = st.integers(0, 40_000).map(lambda number: number * 10)


@st.composite
def series(draw: st.DrawFn) -> list[Point]:
    drawn = draw(st.dictionaries(times, st.tuples(values, st.integers(1, 400))))
    return [Point(time, *drawn[time]) for time in sorted(drawn)]


@given(series())
def test_no_sample_is_lost_or_counted_twice(points: list[Point]) -> None:
    rolled = average(points, 300)
    assert sum(p.weight for p in rolled) == sum(p.weight for p in points)
    assert {p.time for p in rolled} == {floor(p.time, 300) for p in points}
    assert [p.time for p in rolled] == sorted({p.time for p in rolled})


@given(series())
def test_an_average_lies_within_what_it_averages(points: list[Point]) -> None:
    for rolled in average(points, 300):
        inside = [p.value for p in points if floor(p.time, 300) == rolled.time]
        assert min(inside) <= rolled.value <= max(inside)


@given(series())
def test_averages_of_averages_are_those_of_the_samples(points: list[Point]) -> None:
    twice, once = average(average(points, 300), 3600), average(points, 3600)
    assert [(p.time, p.weight) for p in twice] == [(p.time, p.weight) for p in once]
    scale = max((abs(p.value) for p in points), default=0.0)
    for left, right in zip(twice, once, strict=True):
        assert math.isclose(left.value, right.value, abs_tol=scale * 1e-9)


@given(series())
def test_rolling_up_again_changes_nothing(points: list[Point]) -> None:
    rolled = average(points, 300)
    assert average(rolled, 300) == rolled


def test_a_gap_stays_a_gap() -> None:
    assert [p.time for p in average([Point(0, 1.0), Point(900, 1.0)], 300)] == [0, 900]


def test_each_tier_is_made_of_whole_steps_of_the_finer() -> None:
    for finer, tier in zip(TIERS, TIERS[1:], strict=False):
        assert tier.step % finer.step == 0
        assert finer.keep > tier.step
        assert tier.keep > finer.keep


@given(st.integers(0, 400 * 86400), st.integers(0, 400 * 86400))
def test_a_span_is_answered_from_where_it_is_kept(ago: int, length: int) -> None:
    now, start = 2e9, 2e9 - ago
    end = min(start + length, now)
    tier, step = resolution(start, end, now)
    finer = TIERS[: TIERS.index(tier)]
    assert steps_between(start, end, step) <= MOST_POINTS
    if tier != TIERS[-1]:
        assert step == tier.step
        assert start >= now - tier.keep
    for better in finer:
        many = steps_between(start, end, better.step) > MOST_POINTS
        assert start < now - better.keep or many


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from((10, 300, 3600)))
def test_steps_of_a_span_are_those_with_a_moment_in_it(
    start: int, length: int, step: int
) -> None:
    end = start + length
    counted = len(range(floor(start, step), end + 1, step))
    assert steps_between(start, end, step) == counted


@given(st.sampled_from(TIERS), st.floats(0.01, 1))
def test_short_space_keeps_less_but_never_the_future(tier: Tier, share: float) -> None:
    assert oldest(tier, 2e9) <= oldest(tier, 2e9, share) <= 2e9
