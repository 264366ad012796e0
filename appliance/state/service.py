"""form-state as a service: the store and its socket, in formation-state."""

from __future__ import annotations

import threading

from appliance.config import Settings
from appliance.service import Chart, Page, Served, Service, State


class StateRuntime(Served):
    """The socket serves from the process's start: set-up writes through it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._path = settings.run_dir / "state.sock"

    def status(self) -> tuple[State, str]:
        if self._path.exists() and threading.active_count() > 1:
            return "running", ""
        return "failed", f"{self._path} is not served"


SERVICE = Service(
    name="form-state",
    title="State",
    segment="state",
    process="state",
    runtime=StateRuntime,
    section="state",
    measures="appliance.state.measures",
    charts=(
        Chart("Records", ("records",)),
        Chart("Their size", ("records_size",)),
    ),
    always=True,
    pages=(Page("/state/", "Records", "Administration", rank=60),),
    summary="Keeps the node's signed records; the only one that writes them.",
)
