"""What the dashboard says first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.attention import answer, attention
from appliance.service import Status

RUNS = {"form-dns": Status("running"), "formnet": Status("running")}


def instance(state: str, desired: str = "running", **more: Any) -> dict[str, Any]:
    return {"name": "echo", "state": state, "desired": desired, "reason": "", **more}


@pytest.mark.parametrize(
    ("states", "heading"),
    [
        ([], "No agents run yet"),
        (["healthy"], "The instance is healthy"),
        (["booting"], "0 of 1 instance is healthy"),
        (["healthy", "healthy"], "All 2 instances are healthy"),
        (["healthy", "unhealthy"], "1 of 2 instances are healthy"),
    ],
)
def test_the_heading_is_the_answer(states: list[str], heading: str) -> None:
    assert answer([instance(state) for state in states]) == heading


def test_what_was_stopped_on_purpose_is_not_missed() -> None:
    found = [instance("healthy"), instance("stopped", desired="stopped")]
    assert answer(found) == "The instance is healthy"
    assert answer(found[1:]) == "1 instance stopped, none should run"
    assert attention(RUNS, found, 0.1) == "All 2 services run."


def test_reasons_stand_in_the_sentence() -> None:
    services = {**RUNS, "form-pack": Status("degraded", "the guest base is missing.")}
    found = [instance("unhealthy", reason="/health answers 503")]
    assert attention(services, found, 0.934) == (
        "form-pack is degraded: the guest base is missing. "
        "echo is unhealthy: /health answers 503. The disk is 93 % full."
    )


def test_a_full_disk_is_said_although_all_services_run() -> None:
    assert attention(RUNS, [], 0.95) == "All 2 services run. The disk is 95 % full."


@given(st.lists(st.sampled_from(["healthy", "unhealthy", "failed", "booting"])))
def test_many_troubles_stay_short_and_none_is_kept_quiet(states: list[str]) -> None:
    text = attention(RUNS, [instance(state) for state in states], 0.5)
    troubles = sum(state in ("unhealthy", "failed") for state in states)
    said = text.count("echo is")
    assert said == min(troubles, 3)
    assert (f"And {troubles - 3} more." in text) == (troubles > 3)
