"""Ids sort by creation, whatever the clock does."""

from __future__ import annotations

import time

import pytest

from appliance import clock


def test_ids_sort_by_creation_within_a_millisecond() -> None:
    made = [clock.new_id() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_sort_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.new_id()
    past = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: past)
    assert clock.new_id() > before


def test_ids_have_26_characters_that_are_safe_in_names() -> None:
    made = clock.new_id()
    assert len(made) == 26
    assert made.isalnum()
    assert made == made.lower()
