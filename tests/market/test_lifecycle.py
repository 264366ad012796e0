"""Stop, start, reboot, delete: alone, at the same time, canceled, after a crash."""

from __future__ import annotations

import json
import threading

import pytest

from appliance import operations, runner, state, vmm
from appliance.config import Settings
from appliance.market import lifecycle
from appliance.problems import Conflict, NotFound
from appliance.state.server import StateServer


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def machine(
    settings: Settings, state_server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What was done to the machine of instance `i`."""
    done: list[str] = []
    for name in ("shutdown", "boot", "delete"):
        monkeypatch.setattr(vmm, name, lambda i, name=name: done.append(name))
    monkeypatch.setattr(vmm, "forget", lambda i: state.remove("instance", i))
    monkeypatch.setattr(vmm, "domain_state", lambda i: "running")
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (True, ""))
    where = {"address": "127.0.0.1", "port": 1, "health_path": "/"}
    about = {"name": "echo", "agent": "ada/echo", "owner_name": "ada"}
    wish = {"desired": "running", "state": "healthy", "reason": ""}
    state.put("instance", "i", {**where, **about, **wish})
    return done


def body() -> dict[str, str]:
    record = state.find("instance", "i")
    assert record is not None
    return record.body


def do(verb: str) -> operations.Operation:
    id_ = lifecycle.request("i", verb, "1")
    runner.execute(id_, "w")
    return operations.get(id_)


@pytest.mark.parametrize(
    ("verb", "acts", "desired", "now"),
    [
        ("stop", ["shutdown"], "stopped", "stopped"),
        ("start", ["boot"], "running", "healthy"),
        ("reboot", ["shutdown", "boot"], "running", "healthy"),
    ],
)
def test_verbs(
    machine: list[str], verb: str, acts: list[str], desired: str, now: str
) -> None:
    state.change("instance", "i", desired="stopped", state="stopped")
    assert do(verb).state == "completed"
    assert machine == acts
    assert (body()["desired"], body()["state"]) == (desired, now)


def test_delete(machine: list[str]) -> None:
    assert do("delete").state == "completed"
    assert state.find("instance", "i") is None
    with pytest.raises(NotFound):
        lifecycle.request("i", "stop", "1")


def test_a_second_operation_is_refused_with_the_first_ones_name(
    machine: list[str],
) -> None:
    first = lifecycle.request("i", "stop", "1")
    with pytest.raises(Conflict, match="'Stop echo' is under way") as refused:
        lifecycle.request("i", "reboot", "1")
    assert refused.value.members["operation"] == first
    runner.execute(first, "w")
    assert do("reboot").state == "completed"


def test_a_deletion_ends_what_is_under_way(machine: list[str]) -> None:
    first = lifecycle.request("i", "reboot", "1")
    second = lifecycle.request("i", "delete", "1")
    thread = threading.Thread(target=runner.execute, args=(second, "w2"))
    thread.start()  # it waits for its turn
    runner.execute(first, "w1")
    thread.join(20)
    assert operations.get(first).state == "canceled"
    assert operations.get(second).state == "completed"
    assert machine == ["delete"]
    with pytest.raises(NotFound):
        lifecycle.request("i", "delete", "1")


def test_a_guest_that_never_gets_healthy_is_told_with_its_log(
    machine: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = settings.vmm.model_copy(update={"boot_timeout_s": 0.3})
    changed = settings.model_copy(update={"vmm": short})
    monkeypatch.setattr(lifecycle, "settings", lambda: changed)
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (False, "refused"))
    monkeypatch.setattr(vmm, "console_tail", lambda *of: ["agent: no model"])
    failed = do("start")
    detail = json.loads(failed.error or "{}")["detail"]
    assert detail == "It is not healthy (refused). Its last lines: agent: no model"
    assert body()["state"] == "unhealthy"


def test_a_canceled_start_ends_and_leaves_the_guest_on(
    machine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = lifecycle.request("i", "start", "1")

    def cancel(*of: object) -> tuple[bool, str]:
        operations.cancel(id_)
        return False, "not yet"

    monkeypatch.setattr(vmm, "probe_health", cancel)
    runner.execute(id_, "w")
    assert operations.get(id_).state == "canceled"
    assert (machine, body()["desired"]) == (["boot"], "running")


@pytest.mark.parametrize("verb", ["stop", "start", "reboot", "delete"])
@pytest.mark.parametrize("where", ["shutdown", "boot", "delete"])
def test_each_verb_is_finished_after_a_crash_in_its_middle(
    machine: list[str], monkeypatch: pytest.MonkeyPatch, verb: str, where: str
) -> None:
    def die(instance: str) -> None:
        raise Crash

    id_ = lifecycle.request("i", verb, "1")
    with monkeypatch.context() as dying:
        dying.setattr(vmm, where, die)
        try:
            runner.execute(id_, "first")
        except Crash:
            runner.Runner().recover()
    runner.execute(id_, "second")
    assert operations.get(id_).state == "completed"
    if verb == "delete":
        assert state.find("instance", "i") is None
    else:
        assert body()["state"] == ("stopped" if verb == "stop" else "healthy")
