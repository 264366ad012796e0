"""Every regular job runs on a fresh node, and none ends the others."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from appliance import audit, events, supervision
from appliance.admin import accounts, sessions, tokens
from appliance.admin.sessions import Session
from appliance.admin.throttle import Attempt
from appliance.admin.tokens import ApiToken
from appliance.audit import Audit
from appliance.config import Settings
from appliance.events import Event
from appliance.problems import EngineGone, Unavailable
from appliance.state.server import StateServer
from appliance.vmm import libvirt
from jobs import clock as timetable


@pytest.mark.parametrize("name", sorted(timetable.JOBS))
def test_a_job_runs_on_a_fresh_node(
    settings: Settings,
    state_server: StateServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(libvirt, "states", dict)
    keeper = SimpleNamespace(name="none", kept=list)
    monkeypatch.setattr(supervision, "current", lambda *of: keeper)
    timetable.JOBS[name][1](settings)


def test_a_job_that_cannot_do_its_work_now_is_tried_again(settings: Settings) -> None:
    tries = []

    def job(config: Settings) -> None:
        tries.append(config)
        raise Unavailable("away", "libvirt is away.")

    timetable.patient(job)(settings)
    timetable.patient(job)(settings)
    assert len(tries) == 2


def test_an_engine_that_comes_while_the_node_starts_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timetable, "AGAIN_S", 0.01)
    tries = []

    def job(config: Settings) -> None:
        tries.append(config)
        if len(tries) < 3:
            raise EngineGone("away", "libvirt is away.")

    timetable.patient(job)(settings)
    assert len(tries) == 3


def test_the_timetable_has_them_all(settings: Settings) -> None:
    found = {job.id for job in timetable.timetable(settings).get_jobs()}
    assert found >= set(timetable.JOBS)


def test_the_disk_is_measured_as_soon_as_the_node_runs(
    settings: Settings, state_server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = threading.Event()

    def refresh(config: Settings) -> None:
        measured.set()

    monkeypatch.setattr(timetable, "JOBS", {"storage": (0.5, refresh)})
    scheduler = timetable.timetable(settings)
    scheduler.start()
    assert measured.wait(10)
    scheduler.shutdown()


def test_events_and_audit_keep_the_newest(settings: Settings) -> None:
    for number in range(5):
        events.happened(str(number), service="s")
        audit.note("ada", "local", str(number), "", "done")
    assert events.trim(2) == 3
    assert audit.trim(3) == 2
    assert [e.text for e in Event.select()] == ["3", "4"]
    assert [a.action for a in Audit.select()] == ["2", "3", "4"]


def test_ended_sessions_and_old_attempts_go(settings: Settings) -> None:
    ada = accounts.Account("1", "ada", ("operator",))
    old, token = (sessions.begin(ada.id, "local", "") for _ in range(2))
    where = Session.token_hash == sessions.digest(old)
    Session.update(expires=1.0).where(where).execute()
    Attempt.create(what="login", address="local", time=1.0)
    tokens.create(ada, "old", ["read"], days=1)
    ApiToken.update(expires=1.0).execute()
    tokens.create(ada, "for ever", ["read"])
    timetable.forget_expired(settings)
    assert Session.select().count() == 1
    assert sessions.find(token) is not None
    assert Attempt.select().count() == 0
    assert [row.name for row in ApiToken.select()] == ["for ever"]


def test_nothing_is_waited_for_once_the_process_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, tries = threading.Event(), []
    ended.set()
    monkeypatch.setattr(timetable, "ending", ended)

    def job(config: Settings) -> None:
        tries.append(config)
        raise EngineGone("away", "libvirt is away.")

    timetable.patient(job)(settings)
    assert len(tries) == 1
