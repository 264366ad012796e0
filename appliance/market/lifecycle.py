"""Stop, start, reboot and delete: what people do with an instance."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from appliance import clock, events, state, vmm
from appliance.config import settings
from appliance.operations import Kind, Run, Step
from appliance.problems import NotFound, Problem


def _record(run: Run) -> state.Record:
    record = state.find("instance", run.subject)
    if record is None:
        raise NotFound("instance-unknown", f"There is no instance {run.subject}.")
    return record


def owner(subject: str, params: Mapping[str, Any]) -> str | None:
    """Whose instance it is; that of one that is gone is nobody's."""
    record = state.find("instance", subject)
    return record.body.get("owner_name") if record else None


def stop(run: Run) -> None:
    record = _record(run)
    state.change("instance", record.id, desired="stopped")
    vmm.shutdown(record.id)
    state.change("instance", record.id, state="stopped", reason="")
    _say(f"{record.body['name']} was stopped", record.id)


def start(run: Run) -> None:
    record = _record(run)
    state.change("instance", record.id, desired="running", state="booting", reason="")
    vmm.boot(record.id)
    _await_health(run, record)
    _say(f"{record.body['name']} was started", record.id)


def reboot(run: Run) -> None:
    record = _record(run)
    state.change("instance", record.id, state="booting", reason="")
    vmm.shutdown(record.id)
    vmm.boot(record.id)
    _await_health(run, record)
    _say(f"{record.body['name']} was rebooted", record.id)


def _await_health(run: Run, record: state.Record) -> None:
    body, pause, began = record.body, threading.Event(), clock.now()
    why = ""
    while clock.now() - began < settings().vmm.boot_timeout_s:
        ok, why = vmm.probe_health(body["address"], body["port"], body["health_path"])
        if ok:
            state.change("instance", record.id, state="healthy", reason="")
            return
        if run.is_cancelled():
            break
        pause.wait(0.2)
    state.change("instance", record.id, state="unhealthy", reason=why)
    raise Problem("never-healthy", f"It runs but is not healthy: {why}", status=504)


def delete(run: Run) -> None:
    """The instance, its disk and its names go; the agent stays in the catalogue."""
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
