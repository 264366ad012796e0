"""Alerts in node.db: from signals to what people are told, across restarts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance import clock, events, schema, state
from appliance.admin.alerts import delivery, how_many, rules, signals, store, targets
from appliance.admin.alerts.evaluation import CALM_S
from appliance.config import Settings
from appliance.problems import Invalid, NotFound
from appliance.service import Status, choose, services, write_status
from appliance.state.server import StateServer
from tests.blueprints.test_metrics import INSTANCE


class Watched:
    """A node whose signals and clock the test sets."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.now = clock.now()
        self.found: signals.Signals = {}
        patch.setattr(clock, "now", lambda: self.now)
        patch.setattr(signals, "read", lambda config: dict(self.found))

    def after(self, seconds: float, **found: float) -> list[tuple[str, str]]:
        self.now += seconds
        self.found = {(name, "node"): value for name, value in found.items()}
        store.refresh(self.settings)
        return [(alert.rule, alert.state) for alert in store.live()]


@pytest.fixture
def watched(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    return Watched(settings, monkeypatch)


def firing(watched: Watched) -> None:
    watched.after(0, disk_used_percent=95)
    for _ in range(6):
        watched.after(50, disk_used_percent=95)


def test_an_alert_goes_from_pending_over_firing_to_resolved(watched: Watched) -> None:
    key = "disk-nearly-full"
    assert watched.after(0, disk_used_percent=95) == [(key, "pending")]
    for _ in range(6):
        found = watched.after(50, disk_used_percent=95)
    assert found == [(key, "firing")]
    assert how_many(None) == 1
    watched.after(10, disk_used_percent=50)
    assert watched.after(CALM_S, disk_used_percent=50) == []
    assert [alert.state for alert in store.history()] == ["resolved"]
    texts = [event.text for event in events.lately()]
    assert texts == ["Over: The disk is nearly full: 95", "The disk is nearly full: 95"]


def test_a_restart_changes_nothing(watched: Watched) -> None:
    watched.after(0, disk_used_percent=95)
    watched.after(100, disk_used_percent=95)
    schema.open_all(watched.settings)
    watched.after(100, disk_used_percent=95)
    assert watched.after(100, disk_used_percent=95) == [("disk-nearly-full", "firing")]


def test_nobody_is_told_while_it_is_silenced_and_then_they_are(
    watched: Watched,
) -> None:
    put_hook(watched)
    store.silence("disk-nearly-full", "", 600, "moving data", "ada")
    firing(watched)
    assert how_many(None) == 0
    assert delivery.lately() == []
    watched.after(301, disk_used_percent=95)
    assert how_many(None) == 1
    assert [row.target for row in delivery.lately()] == ["hook"]


def test_a_silence_that_is_ended_early_tells_at_once(watched: Watched) -> None:
    number = store.silence("", "", 6000, "works", "ada")
    firing(watched)
    store.end_silence(str(number))
    watched.after(1, disk_used_percent=95)
    assert how_many(None) == 1
    with pytest.raises(NotFound):
        store.end_silence(str(number))


@pytest.mark.parametrize(
    ("rule", "seconds", "why", "field"),
    [
        ("luck", 600, "so", "rule"),
        ("", 1, "so", "seconds"),
        ("", 1e12, "so", "seconds"),
        ("", float("nan"), "so", "seconds"),
        ("", 600, "  ", "why"),
    ],
)
def test_a_wrong_silence_is_refused(
    settings: Settings, rule: str, seconds: float, why: str, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        store.silence(rule, "", seconds, why, "ada")
    assert list(caught.value.members["errors"]) == [field]
    assert store.silences(clock.now()) == []


def put_hook(watched: Watched) -> None:
    wish = {"kind": "standard", "url": "http://127.0.0.1:9/x"}
    targets.put(watched.settings, "hook", wish)


def test_history_is_bounded(watched: Watched) -> None:
    rules.put("memory-short", {"for_s": 0})
    for _ in range(3):
        watched.after(10, memory_used_percent=99)
        watched.after(10)
        watched.after(CALM_S)
    assert len(store.history()) == 3
    store.trim(2)
    assert len(store.history()) == 2


@pytest.fixture
def node(settings: Settings, records: StateServer) -> Settings:
    choose(settings, ["form-dns"])
    silent = settings.dns.model_copy(update={"port": 9})
    return settings.model_copy(update={"dns": silent})


def test_signals_tell_of_services_instances_and_the_machine(node: Settings) -> None:
    status = Status("degraded", "so", clock.now(), clock.now())
    write_status(node, services()["form-dns"], status)
    body = {"agent": "ada/echo", "owner_name": "ada", "state": "unhealthy"}
    state.put("instance", "i1", {**INSTANCE, **body, "desired": "running"})
    state.put("instance", "i2", {**INSTANCE, **body, "desired": "stopped"})
    found = signals.read(node)
    assert found["service", "form-dns"] == "degraded"
    assert found["instance", "i1"] == "unhealthy"
    assert ("instance", "i2") not in found
    assert found["dns", "node"] == "silent"
    assert found["builds_failed_in_a_row", "node"] == 0
    assert found["clock", "node"] in ("synchronised", "not synchronised")
    assert 0 < float(found["disk_used_percent", "node"]) <= 100
    assert ("certificate_days_left", "node") not in found


def test_the_certificate_is_watched(node: Settings) -> None:
    from appliance.admin.caddy import ensure_certificate

    (node.data_dir / "tls").mkdir(exist_ok=True)
    ensure_certificate(node)
    days = dict(signals.read(node))["certificate_days_left", "node"]
    assert 3640 < float(days) < 3660


def test_a_source_that_fails_takes_no_other_with_it(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: Settings) -> signals.Found:
        raise OSError("gone")
        yield

    sources: tuple[Callable[[Settings], signals.Found], ...]
    sources = (broken, signals.machine)
    monkeypatch.setattr(signals, "SOURCES", sources)
    assert ("memory_used_percent", "node") in signals.read(node)
