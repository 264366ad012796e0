"""Stop, start, reboot and delete: what people do with an instance."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from appliance import clock, events, operations, state, vmm
from appliance.config import settings
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, NotFound, Problem


def _record(run: Run) -> state.Record:
    record = state.find("instance", run.subject)
    if record is None:
        raise NotFound("instance-unknown", f"There is no instance {run.subject}.")
    return record


def owner(subject: str, params: Mapping[str, Any]) -> str | None:
    """Which agent's instance it is; one that is gone is nobody's."""
    record = state.find("instance", subject)
    return record.body.get("agent") if record else None


def request(instance: str, verb: str, account: str) -> str:
    """Queue a verb of KINDS for an instance; returns the operation's id.

    While another operation is at work on it this is refused, but for a deletion,
    which ends what is under way.
    """
    record = state.find("instance", instance)
    if record is None:
        raise NotFound("instance-unknown", f"There is no instance {instance}.")
    live = at_work(instance)
    if live and (verb != "delete" or live[-1].kind == "delete"):
        raise Conflict(
            "instance-busy",
            f"{record.body['name']} is busy: {live[-1].title!r} is under way. Wait for "
            f"it, or end it: form operations cancel {live[-1].id}",
            operation=live[-1].id,
        )
    for operation in live:
        operations.cancel(operation.id)
    title = f"{verb.capitalize()} {record.body['name']}"
    return operations.submit(
        verb, title=title, subject=instance, params={}, account=account
    )


def at_work(instance: str) -> list[operations.Operation]:
    """Operations on an instance that have not ended; its deployment has its id."""
    live = operations.recent(limit=1000, live=True)
    return [row for row in live if instance in (row.id, row.subject)]


def wait(run: Run, instance: str) -> None:
    """Operations on one instance go one after the other, in their ids' order."""
    pause = threading.Event()
    while earlier := [row for row in at_work(instance) if row.id < run.id]:
        run.check()
        run.progress(None, f"waiting for {earlier[-1].title!r}")
        pause.wait(0.2)


def stop(run: Run) -> None:
    wait(run, run.subject)
    record = _record(run)
    state.change("instance", record.id, desired="stopped")
    vmm.shutdown(record.id)
    state.change("instance", record.id, state="stopped", reason="")
    _say(f"{record.body['name']} was stopped", record.id)


def start(run: Run) -> None:
    wait(run, run.subject)
    record = _record(run)
    state.change("instance", record.id, desired="running", state="booting", reason="")
    vmm.boot(record.id)
    _await_health(run, record)
    _say(f"{record.body['name']} was started", record.id)


def reboot(run: Run) -> None:
    wait(run, run.subject)
    record = _record(run)
    state.change("instance", record.id, desired="running", state="booting", reason="")
    vmm.shutdown(record.id)
    vmm.boot(record.id)
    _await_health(run, record)
    _say(f"{record.body['name']} was rebooted", record.id)


def _await_health(run: Run, record: state.Record) -> None:
    """Canceled, the guest goes on and is found healthy when it is."""
    body, pause, began = record.body, threading.Event(), clock.now()
    why, limit = "", settings().vmm.boot_timeout_s
    while clock.now() - began < limit:
        run.check()
        ok, why = vmm.probe_health(body["address"], body["port"], body["health_path"])
        if ok:
            state.change("instance", record.id, state="healthy", reason="")
            return
        if vmm.domain_state(record.id) != "running":
            why = "its VM ended while it booted"
            break
        run.progress((clock.now() - began) / limit, why)
        pause.wait(0.2)
    state.change("instance", record.id, state="unhealthy", reason=why)
    last = " / ".join(vmm.console_tail(record.id, 5)) or "nothing was printed"
    raise Problem(
        "never-healthy",
        f"It is not healthy ({why}). Its last lines: {last}",
        status=504,
    )


def delete(run: Run) -> None:
    """The instance, its disk and its names go; the agent stays in the catalogue."""
    wait(run, run.subject)
    record = state.find("instance", run.subject)
    vmm.delete(run.subject)
    vmm.forget(run.subject)
    if record is not None:
        _say(f"{record.body['name']} was deleted", run.subject)


def _say(text: str, instance: str) -> None:
    events.happened(text, service="vmm-service", subject=instance)


KINDS = (
    Kind("stop", (Step("stop", "Stop", stop),), owner=owner),
    Kind("start", (Step("start", "Start", start),), owner=owner),
    Kind("reboot", (Step("reboot", "Reboot", reboot),), owner=owner),
    Kind("delete", (Step("delete", "Delete", delete),), owner=owner),
)
