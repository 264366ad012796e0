"""Builds are counted as they end, and measured over the last hour."""

from __future__ import annotations

import pytest

from appliance import clock
from appliance.config import Settings
from appliance.metrics import METRICS
from appliance.pack import measures, noted, tally
from appliance.pack.limits import BuildError


@pytest.fixture(autouse=True)
def _database(settings: Settings) -> None:
    return None


def build(made: int = 0, cached: int = 0, reused: bool = False) -> None:
    with noted(lambda: False) as counted:
        counted.made, counted.cached, counted.reused = made, cached, reused


def fail(is_canceled: bool = False) -> None:
    with pytest.raises(BuildError), noted(lambda: is_canceled) as counted:
        counted.cached = 1
        raise BuildError("RUN false: ended with 1")


def measured(settings: Settings) -> dict[str, float]:
    return {reading.metric: reading.value for reading in measures.read(settings)}


def test_what_ended_within_the_hour_is_measured(settings: Settings) -> None:
    build(made=3, cached=2)
    fail()
    fail(is_canceled=True)
    tally.Build.update(seconds=60.0).where(tally.Build.state == "done").execute()
    build(reused=True)  # it takes no time, so it is no measure of it
    assert measured(settings) == {
        "builds": 4.0,
        "builds_failed": 1.0,
        "build_seconds": 60.0,
        "layers_made": 3.0,
        "layers_cached": 4.0,
    }
    tally.Build.update(ended=clock.now() - 3601).execute()
    assert measured(settings)["builds"] == 0


def test_how_long_builds_take_is_absent_where_none_was_made(settings: Settings) -> None:
    fail()
    found = measured(settings)
    assert found["builds_failed"] == 1
    assert "build_seconds" not in found
    assert set(found) <= set(METRICS)


def test_one_that_its_process_left_to_the_next_has_not_ended() -> None:
    with pytest.raises(KeyboardInterrupt), noted(lambda: True):
        raise KeyboardInterrupt
    assert tally.Build.select().count() == 0


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "KEPT", 2)
    for made in range(4):
        build(made)
    assert tally.trim() == 2
    assert [row.made for row in tally.Build.select()] == [2, 3]
