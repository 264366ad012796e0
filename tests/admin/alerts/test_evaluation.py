"""What becomes of alerts, as values go up and down and time goes by."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.alerts.evaluation import (
    CALM_S,
    LIVE,
    LOST_S,
    Alert,
    Silence,
    evaluate,
    silenced_by,
    to_tell,
)
from appliance.admin.alerts.rules import DEFAULTS, Rule

RULE = Rule("hot", "It is hot", "cpu", "above", "90", for_s=60)
HOT, COOL = {("cpu", "node"): 95.0}, {("cpu", "node"): 10.0}


def step(
    alerts: list[Alert], signals: dict[tuple[str, str], float | str], now: float
) -> list[Alert]:
    live = [alert for alert in alerts if alert.state in LIVE]
    return evaluate([RULE], signals, live, now)


def test_a_condition_is_pending_until_it_held_long_enough() -> None:
    (pending,) = step([], HOT, 1000)
    assert (pending.state, pending.since, pending.value) == ("pending", 1000, "95")
    (pending,) = step([pending], HOT, 1059)
    assert pending.state == "pending"
    (firing,) = step([pending], HOT, 1060)
    assert (firing.state, firing.since, firing.fired) == ("firing", 1000, 1060)


def test_what_ends_before_it_fires_is_nothing() -> None:
    assert step(step([], HOT, 1000), COOL, 1030) == []


def test_a_firing_alert_is_resolved_once_calm_for_a_while() -> None:
    alerts = step(step([], HOT, 1000), HOT, 1060)
    alerts = step(alerts, COOL, 1070)
    assert alerts[0].state == "firing"
    alerts = step(alerts, HOT, 1080)
    assert alerts[0].calm is None
    alerts = step(alerts, COOL, 1090)
    (resolved,) = step(alerts, COOL, 1090 + CALM_S)
    assert (resolved.state, resolved.ended) == ("resolved", 1090 + CALM_S)


def test_what_is_not_known_counts_as_calm() -> None:
    alerts = step(step([], HOT, 1000), HOT, 1060)
    alerts = step(alerts, {}, 1070)
    assert alerts[0].state == "firing"
    assert step(alerts, {}, 1070 + CALM_S)[0].state == "resolved"


def test_a_node_that_was_off_begins_pending_anew_but_keeps_what_fires() -> None:
    pending = step([], HOT, 1000)
    (again,) = step(pending, HOT, 1001 + LOST_S)
    assert (again.state, again.since) == ("pending", 1001 + LOST_S)
    firing = step(step([], HOT, 1000), HOT, 1060)
    assert step(firing, HOT, 99_000)[0].fired == 1060
    assert step(firing, {}, 99_000)[0].state == "firing"


def test_each_subject_has_its_own_alert_and_a_rule_may_be_limited() -> None:
    signals: dict[tuple[str, str], float | str] = {
        ("service", "form-dns"): "failed",
        ("service", "admin"): "failed",
        ("service", "formnet"): "running",
    }
    rule = replace(DEFAULTS["service-failed"], for_s=0)
    found = evaluate([rule], signals, [], 5)
    assert sorted(alert.subject for alert in found) == ["admin", "form-dns"]
    limited = replace(rule, subjects="formnet, admin")
    assert [a.subject for a in evaluate([limited], signals, [], 5)] == ["admin"]


def test_a_rule_that_is_switched_off_ends_its_alerts() -> None:
    alerts = step(step([], HOT, 1000), HOT, 1060)
    off = replace(RULE, enabled=False)
    alerts = evaluate([off], HOT, alerts, 1070)
    assert evaluate([off], HOT, alerts, 1070 + CALM_S)[0].state == "resolved"


FIRING = Alert("hot", "node", "firing", "warning", "Hot", "95", 0, 9, 5)


@pytest.mark.parametrize(
    ("rule", "subject", "until", "covers"),
    [
        ("", "", 10, True),
        ("hot", "node", 10, True),
        ("hot", "i1", 10, False),
        ("cold", "", 10, False),
        ("", "", 9, False),
    ],
)
def test_a_silence_covers_what_it_names_for_as_long_as_it_lasts(
    rule: str, subject: str, until: float, covers: bool
) -> None:
    silence = Silence(1, rule, subject, until, "works", "ada", 0)
    assert (silenced_by(FIRING, [silence], 9) is not None) == covers
    assert to_tell(FIRING, "", [silence], 9) == (None if covers else "firing")


def test_people_are_told_once_and_of_the_end_only_if_told_of_the_beginning() -> None:
    resolved = replace(FIRING, state="resolved")
    assert to_tell(FIRING, "firing", [], 9) is None
    assert to_tell(resolved, "firing", [], 9) == "resolved"
    assert to_tell(resolved, "", [], 9) is None
    assert to_tell(resolved, "resolved", [], 9) is None


@given(st.lists(st.tuples(st.sampled_from([HOT, COOL, {}]), st.floats(0, 300))))
def test_whatever_happens_there_is_one_alert_in_a_known_state(
    rounds: list[tuple[dict[tuple[str, str], float | str], float]],
) -> None:
    alerts: list[Alert] = []
    now = 1000.0
    for signals, later in rounds:
        now += later
        alerts = step(alerts, signals, now)
        assert len(alerts) <= 1
        for alert in alerts:
            assert alert.state in (*LIVE, "resolved")
            assert (alert.fired is None) == (alert.state == "pending")
            assert alert.since <= alert.seen <= now
            if alert.fired is not None:
                assert alert.fired - alert.since >= RULE.for_s
