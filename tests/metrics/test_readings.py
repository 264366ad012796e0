"""Growth per second from counters; what is not known is left out."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from appliance.metrics.readings import Rates, Reading


def counted(value: float, part: str = "", time: float | None = None) -> Reading:
    return Reading("node", "net_in", value, counter=True, part=part, time=time)


def test_a_gauge_is_known_at_once_and_a_counter_at_the_second_look() -> None:
    rates = Rates()
    gauge = Reading("node", "memory", 7.0)
    assert rates.values([gauge, counted(100)], 10) == {("node", "memory"): 7.0}
    assert rates.values([counted(300)], 20) == {("node", "net_in"): 20.0}


def test_a_counter_that_begins_anew_is_absent_once() -> None:
    rates = Rates()
    rates.values([counted(1000)], 10)
    assert rates.values([counted(5)], 20) == {}
    assert rates.values([counted(25)], 30) == {("node", "net_in"): 2.0}


def test_what_was_away_for_a_round_starts_again() -> None:
    rates = Rates()
    rates.values([counted(0)], 10)
    rates.values([], 20)
    assert rates.values([counted(900)], 30) == {}


def test_parts_are_added_each_with_its_own_growth() -> None:
    rates = Rates()
    rates.values([counted(0, "eth0"), counted(500, "eth1")], 10)
    found = rates.values([counted(100, "eth0"), counted(0, "eth1")], 20)
    assert found == {("node", "net_in"): 10.0}  # eth1 began anew


def test_a_reading_may_say_when_it_was_taken() -> None:
    rates = Rates()
    rates.values([counted(0, time=1)], 10)
    assert rates.values([counted(30, time=4)], 20) == {("node", "net_in"): 10.0}
    assert rates.values([counted(30, time=4)], 30) == {}  # the same reading again


@given(st.lists(st.floats(0, 1e15), min_size=2), st.floats(0.1, 1e4))
def test_growth_is_never_negative_or_endless(counts: list[float], pause: float) -> None:
    rates = Rates()
    for number, count in enumerate(counts):
        for value in rates.values([counted(count)], number * pause).values():
            assert value >= 0
            assert math.isfinite(value)
