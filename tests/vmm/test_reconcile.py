"""Rounds of the reconciler over records that are real and machines that are not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from appliance import operations, state, supervision
from appliance.config import Settings
from appliance.problems import EngineGone, Problem
from appliance.state.server import StateServer
from appliance.vmm import gate, instances, libvirt, reconcile, service
from appliance.vmm.reconcile import Reconciler

REAL_BOOT = instances.boot


@pytest.fixture
def machines(
    records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    found: dict[str, str] = {}

    def become(new: str) -> Callable[[str], None]:
        return lambda instance: found.__setitem__(instance, new)

    monkeypatch.setattr(libvirt, "states", lambda: dict(found))
    monkeypatch.setattr(libvirt, "guest_agent_answers", lambda instance: True)
    monkeypatch.setattr(instances, "boot", become("running"))
    monkeypatch.setattr(instances, "shutdown", become("off"))
    monkeypatch.setattr(instances, "delete", found.pop)
    monkeypatch.setattr(reconcile, "probe_health", lambda *of: (True, ""))
    yield found
    gate.open_()


def instance(desired: str = "running", state_: str = "healthy") -> None:
    body = {
        "name": "echo",
        "desired": desired,
        "state": state_,
        "reason": "",
        "address": "127.0.0.1",
        "port": 1,
        "health_path": "/",
    }
    state.put("instance", "i", body)


def one_round(reconciler: Reconciler) -> str:
    trouble = reconciler.round()
    for act in list(reconciler._acts.values()):
        act.exception(10)
    return trouble


def body() -> dict[str, str]:
    record = state.find("instance", "i")
    assert record is not None
    return record.body


def test_what_is_off_is_started_and_found_healthy(machines: dict[str, str]) -> None:
    instance()
    machines["i"] = "off"
    reconciler = Reconciler()
    one_round(reconciler)
    assert machines["i"] == "running"
    assert body()["reason"] == "it was off and is being started"
    one_round(reconciler)
    assert body()["state"] == "healthy"
    assert body()["guest_agent"]
    reconciler.stop()


def test_what_ends_at_once_again_waits_for_its_turn(machines: dict[str, str]) -> None:
    instance()
    reconciler = Reconciler()
    for _ in range(3):
        machines["i"] = "off"
        one_round(reconciler)
    assert reconciler._backoffs["i"].starts == 1
    reconciler.stop()


def test_a_deletion_that_was_left_is_done(machines: dict[str, str]) -> None:
    instance("deleted", "booting")
    machines["i"] = "running"
    reconciler = Reconciler()
    one_round(reconciler)
    assert state.find("instance", "i") is None
    assert machines == {}
    reconciler.stop()


def test_an_operation_is_left_alone(machines: dict[str, str]) -> None:
    instance("running", "booting")
    operations.Operation.create(
        id="i",
        kind="deploy",
        title="",
        subject="",
        account="",
        state="working",
        params="{}",
        memory="{}",
        steps="[]",
        created=1.0,
    )
    machines["i"] = "off"
    reconciler = Reconciler()
    one_round(reconciler)
    assert machines["i"] == "off"
    reconciler.stop()


def test_one_that_fails_does_not_stop_the_rest(
    machines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(instance: str) -> None:
        raise Problem("no", "QEMU does not start.")

    monkeypatch.setattr(instances, "boot", fail)
    instance()
    machines["i"] = "off"
    reconciler = Reconciler()
    one_round(reconciler)
    assert "QEMU does not start" in one_round(reconciler)
    reconciler.stop()


def test_one_slow_answer_does_not_take_the_name_away(
    machines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [(False, "slow"), (True, ""), *[(False, "slow")] * 3]
    monkeypatch.setattr(reconcile, "probe_health", lambda *of: answers.pop(0))
    instance()
    machines["i"] = "running"
    reconciler, states = Reconciler(), []
    for _ in range(5):
        one_round(reconciler)
        states.append(body()["state"])
    assert states == ["healthy"] * 4 + ["unhealthy"]
    reconciler.stop()


def test_libvirtd_that_is_gone_is_said_and_recovered_from(
    machines: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> dict[str, str]:
        raise EngineGone("libvirt-unavailable", "libvirt: no connection.")

    instance()
    machines["i"] = "running"
    monkeypatch.setattr(libvirt, "on_change", lambda tell: None)
    monkeypatch.setattr(libvirt, "states", gone)
    monkeypatch.setattr(service, "ROUND_S", 0.01)
    runtime = service.VmmRuntime(settings)
    runtime._thread.start()
    until(lambda: runtime.status() == ("degraded", "libvirt: no connection."))
    assert body()["state"] == "healthy"  # callers reach it still
    monkeypatch.setattr(libvirt, "states", lambda: dict(machines))
    until(lambda: runtime.status() == ("running", ""))
    monkeypatch.setattr(runtime, "_shut_down_all", lambda: None)
    runtime.stop()


def test_a_guest_that_an_operation_just_started_ends_with_the_node(
    machines: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance()
    inside, may_end = threading.Event(), threading.Event()

    def start(name: str) -> None:
        inside.set()
        may_end.wait(10)
        machines[name] = "running"

    monkeypatch.setattr(libvirt, "start", start)
    monkeypatch.setattr(libvirt, "states", lambda: dict(machines))
    monkeypatch.setattr(instances, "shutdown", lambda i: machines.update({i: "off"}))
    ending = SimpleNamespace(is_ending=lambda: True)
    monkeypatch.setattr(supervision, "current", lambda *of: ending)
    runtime = service.VmmRuntime(settings)
    monkeypatch.setattr(runtime, "_thread", threading.Thread(target=int))
    runtime._thread.start()
    booting = threading.Thread(target=REAL_BOOT, args=("i",))
    booting.start()
    assert inside.wait(10)
    stopping = threading.Thread(target=runtime.stop)
    stopping.start()
    until(lambda: not gate.is_open())
    with pytest.raises(EngineGone, match="vmm-service is stopped"):
        REAL_BOOT("j")
    may_end.set()
    stopping.join(10)
    assert machines == {"i": "off"}
    assert body()["reason"] == "the node stopped"


@pytest.mark.parametrize("gone", [False, True])
def test_machines_outlive_a_restart_of_what_watches_them(
    machines: dict[str, str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    gone: bool,
) -> None:
    def is_ending() -> bool:
        if gone:
            raise EngineGone("supervisor-gone", "supervisord does not answer.")
        return False

    instance()
    machines["i"] = "running"
    keeper = SimpleNamespace(is_ending=is_ending)
    monkeypatch.setattr(supervision, "current", lambda *of: keeper)
    runtime = service.VmmRuntime(settings)
    monkeypatch.setattr(runtime, "_thread", threading.Thread(target=int))
    runtime._thread.start()
    runtime.stop()
    assert machines == {"i": "running"}
    assert body()["state"] == "healthy"


def until(found: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if found():
            return
        pause.wait(0.01)
    pytest.fail("not within 10 s")
