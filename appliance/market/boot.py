"""A deployment's instance comes up: it is given what another one holds, started, and
watched until it is healthy."""

from __future__ import annotations

import threading

from appliance import clock, state, vmm
from appliance.config import settings
from appliance.market.handover import body_of, others
from appliance.market.placement import gpu_addresses
from appliance.operations import Run
from appliance.problems import Problem

PROBE_S = 0.15
ENDED, ENDS = "agent: exited with status", 4


def boot(run: Run) -> None:
    instance = run.memory["instance"]
    state.change("instance", instance, state="booting")
    _stop_holders(run)
    vmm.boot(instance)


def _stop_holders(run: Run) -> None:
    """A volume or GPU is one instance's at a time."""
    volumes = run.memory["formfile"]["volumes"]
    gpus = set(gpu_addresses(body_of(run.memory["instance"])))
    holders = [
        record
        for record in others(run)
        if record.body["desired"] == "running"
        if volumes or gpus.intersection(gpu_addresses(record.body))
    ]
    if "held" not in run.memory:
        run.remember(held=[record.id for record in holders])
    for record in holders:
        state.change("instance", record.id, desired="stopped", state="stopped")
        vmm.shutdown(record.id)


def start_holders(run: Run) -> None:
    """Undo: those that gave volumes or GPUs up run again, once the new one, which
    has them, does not."""
    held = run.memory.get("held", [])
    if held:
        vmm.shutdown(run.memory["instance"])
    for instance in held:
        if state.find("instance", instance):
            state.change("instance", instance, desired="running")


def healthy(run: Run) -> None:
    """Wait for the health check; a silent or dying guest fails with its log. One that
    the end of the node had stopped is started again."""
    instance, limit = run.memory["instance"], settings().vmm.boot_timeout_s
    vmm.boot(instance)
    body = body_of(instance)
    pause, began, why, shown = threading.Event(), clock.now(), "", 0
    while clock.now() - began < limit:
        run.check()
        ok, why = vmm.probe_health(body["address"], body["port"], body["health_path"])
        body_of(instance)
        lines = vmm.console_tail(instance, 500)
        for line in lines[shown:]:
            run.log(line)
        shown = len(lines)
        if ok:
            state.change("instance", instance, state="healthy", reason="")
            return
        if vmm.domain_state(instance) != "running":
            raise Problem("guest-ended", f"The VM ended: {_last(lines)}", status=502)
        if sum(ENDED in line for line in lines) >= ENDS:
            raise Problem(
                "entrypoint-ends",
                f"The entrypoint keeps ending: {_last(lines)}",
                status=502,
            )
        run.progress((clock.now() - began) / limit, why)
        pause.wait(PROBE_S)
    raise Problem(
        "never-healthy",
        f"Not healthy after {limit} s ({why}). Its last lines: {_last(lines)}",
        status=504,
    )


def _last(lines: list[str]) -> str:
    return " / ".join(lines[-5:]) or "nothing was printed"
