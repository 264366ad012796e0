"""vmm-service as a service: the reconciling thread, in formation-jobs."""

from __future__ import annotations

import threading

import structlog
from peewee import PeeweeException

from appliance import state, supervision
from appliance.config import Settings, settings
from appliance.problems import Problem
from appliance.service import Chart, Eyes, Page, Service, State

ROUND_S = 2.0
log = structlog.get_logger()


class VmmRuntime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ended = False
        self._changed = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._rounds, daemon=True)

    def start(self) -> None:
        from appliance.vmm import gate, libvirt
        from appliance.vmm.probe import accelerator

        libvirt.on_change(self._changed.set)
        accelerator(self._settings)
        gate.open_()
        self._thread.start()

    def stop(self) -> None:
        """Machines go on, so that they outlive a restart of this; but where the whole
        node ends they are shut down, unless the setting keeps them."""
        from appliance.vmm import gate

        gate.close()
        self._ended = True
        self._changed.set()
        self._thread.join(15)
        if self._settings.vmm.on_exit != "shutdown":
            return
        try:
            if supervision.current(self._settings, {}).is_ending():
                self._shut_down_all()
        except Problem as problem:
            log.warning("vmm.guests_left", why=str(problem))

    def reload(self) -> None:
        self._settings = settings()

    def status(self) -> tuple[State, str]:
        if self._thread.ident and not self._thread.is_alive():
            return "failed", "its thread ended; the log of formation-jobs says why"
        return ("degraded", self._trouble) if self._trouble else ("running", "")

    def _rounds(self) -> None:
        from appliance.vmm.reconcile import Reconciler

        reconciler = Reconciler()
        while not self._ended:
            try:
                self._trouble = reconciler.round()
            except (Problem, PeeweeException) as problem:
                self._trouble = str(problem)
            self._changed.wait(ROUND_S)
            self._changed.clear()
        reconciler.stop()

    def _shut_down_all(self) -> None:
        """Whatever runs, also what an operation had just started."""
        from appliance.vmm import instances, libvirt

        known = libvirt.states()
        running = [r for r in state.select("instance") if known.get(r.id) == "running"]
        for record in running:
            state.change(
                "instance", record.id, state="unhealthy", reason="the node stopped"
            )
        threads = [
            threading.Thread(target=instances.shutdown, args=(record.id,))
            for record in running
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def how_many(eyes: Eyes) -> int:
    """Instances that an account sees."""
    if eyes.sees_all:
        return state.count("instance")
    return sum(eyes.sees(r.body.get("agent")) for r in state.select("instance"))


SERVICE = Service(
    name="vmm-service",
    title="Virtual machines",
    segment="vmm",
    process="jobs",
    runtime=VmmRuntime,
    section="vmm",
    depends=("form-state", "formnet"),
    summary="Runs instances under libvirt and keeps them as they should be.",
    without="Machines go on, but nobody starts, stops or watches them.",
    measures="appliance.vmm.measures",
    charts=(
        Chart("Instances", ("instances",)),
        Chart("Memory promised to them", ("memory_promised",)),
    ),
    pages=(Page("/vmm/", "Instances", rank=30, count=how_many),),
)
