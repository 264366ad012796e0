"""Alerts on pages and in the API: who may see, who may change."""

from __future__ import annotations

import pytest

from appliance import clock, identity, operations
from appliance.admin.alerts import rules, runbooks, signals, store, targets
from appliance.config import Settings

from .conftest import Person

API = "/api/v1/admin/alerts"


@pytest.fixture
def hot(settings: Settings, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose memory is short and whose clock nothing disciplines."""
    rules.put("memory-short", {"for_s": 0})
    found: signals.Signals = {
        ("memory_used_percent", "node"): 99.0,
        ("clock", "node"): "not synchronised",
    }
    monkeypatch.setattr(signals, "read", lambda config: found)
    store.refresh(settings)


def test_what_fires_is_on_the_page_the_dashboard_and_in_the_bar(
    ada: Person, hot: None
) -> None:
    page = ada.browser.get("/alerts/").text
    assert "One alert fires" in page
    assert "/alerts/runbooks/memory-short" in page
    assert '<span class="count" id="count-alerts">1</span>' in page
    assert "Memory is short: 99." in ada.browser.get("/").text
    found = ada.browser.get(API).get_json()["alerts"]
    assert [(a["rule"], a["state"]) for a in found] == [
        ("memory-short", "firing"),
        ("clock-off", "pending"),
    ]


def test_a_silence_quiets_and_is_ended(ada: Person, hot: None) -> None:
    form = {"rule": "memory-short", "subject": "", "hours": "4", "why": "a big build"}
    assert ada.post("/alerts/silences", **form) == 303
    page = ada.browser.get("/alerts/").text
    assert "No alert fires" in page
    assert "a big build" in page
    (alert, _) = ada.browser.get(API).get_json()["alerts"]
    assert (alert["state"], alert["silence"]["account"]) == ("silenced", "ada")
    assert ada.post(f"/alerts/silences/{alert['silence']['id']}/end") == 303
    assert "One alert fires" in ada.browser.get("/alerts/").text


def test_a_silence_says_what_is_missing_beside_the_field(
    ada: Person, hot: None
) -> None:
    answer = ada.browser.post(
        "/alerts/silences", data={"csrf": ada.csrf, "rule": "luck", "hours": "x"}
    )
    assert answer.status_code == 422
    for text in ("there is no", "from a minute", "why: say it"):
        assert text in answer.text


def test_a_rule_is_changed_on_its_page(ada: Person) -> None:
    page = ada.browser.get("/alerts/rules/disk-full").text
    assert 'value="97"' in page
    form = {
        "title": "Full",
        "signal": "disk_used_percent",
        "condition": "above",
        "value": "99",
        "for_s": "0",
        "severity": "critical",
        "runbook": "disk-full",
    }
    assert ada.post("/alerts/rules/disk-full", **form) == 303
    assert rules.get("disk-full").value == "99"
    assert not rules.get("disk-full").enabled
    wrong = ada.browser.post(
        "/alerts/rules/disk-full", data={**form, "csrf": ada.csrf, "value": "many"}
    )
    assert wrong.status_code == 422
    assert "value: number" in wrong.text
    assert ada.post("/alerts/rules/disk-full/delete") == 303
    assert rules.get("disk-full") == rules.DEFAULTS["disk-full"]
    assert ada.post("/alerts/rules/new", name="mine", **form) == 303
    assert "mine" in rules.every()


def test_rules_by_the_api(ada: Person) -> None:
    bearer = ada.bearer()
    url = f"{API}/rules/clock-off"
    assert ada.browser.put(url, json={"enabled": False}, headers=bearer).json == {
        **ada.browser.get(f"{API}/rules").get_json()["rules"][3],
        "enabled": False,
    }
    refused = ada.browser.put(url, json=["off"], headers=bearer)
    assert refused.status_code == 422
    assert ada.browser.delete(url, headers=bearer).status_code == 200
    assert rules.get("clock-off").enabled


def test_targets_are_set_tested_and_removed(ada: Person, settings: Settings) -> None:
    identity.sealing_key(settings)
    form = {"name": "post", "kind": "email", "host": "mail.example.com", "port": "587"}
    form |= {"sender": "a@example.com", "to": "b@example.com", "tls": "starttls"}
    form |= {"user": "a", "secret": "hunter2"}
    assert ada.post("/alerts/targets", **form) == 303
    page = ada.browser.get("/alerts/targets").text
    assert "b@example.com" in page
    assert "hunter2" not in page
    answer = ada.browser.post(f"{API}/targets/post/test", headers=ada.bearer())
    assert answer.status_code == 202
    assert operations.get(answer.get_json()["id"]).kind == "alert-test"
    assert ada.post("/alerts/targets", **{**form, "host": "a b"}) == 422
    assert ada.post("/alerts/targets/post/delete") == 303
    assert targets.every() == []
    assert ada.post("/alerts/targets/post/test") == 404


def test_auditors_look_and_change_nothing(ada: Person, eve: Person, hot: None) -> None:
    for path in ("", "rules", "rules/disk-full", "targets", "runbooks/disk-full"):
        assert eve.get(f"/alerts/{path}") == 200
    for path in ("", "/rules", "/silences", "/targets", "/deliveries"):
        assert eve.get(f"{API}{path}") == 200
    for path in ("silences", "rules/disk-full", "targets", "targets/x/test"):
        assert eve.post(f"/alerts/{path}") == 403
    assert store.silences(clock.now()) == []


def test_developers_see_runbooks_alone(bo: Person, hot: None) -> None:
    assert bo.get("/alerts/") == 403
    assert bo.get("/live/parts?view=alerts") == 403
    assert bo.get("/alerts/runbooks/disk-full") == 200
    assert "Memory is short" not in bo.browser.get("/").text


def test_every_runbook_is_a_page(ada: Person) -> None:
    for name in runbooks.names():
        assert "<h2>Do</h2>" in ada.browser.get(f"/alerts/runbooks/{name}").text
    assert ada.get("/alerts/runbooks/nothing") == 404


def test_the_page_is_followed_live(ada: Person, hot: None) -> None:
    found = ada.browser.get("/live/parts?view=alerts").get_json()["fragments"]
    assert "One alert fires" in found["alerts-top"]
    assert found["count-alerts"] == "1"
