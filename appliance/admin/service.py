"""admin as a service: pages, accounts and processes, in formation-web."""

from __future__ import annotations

from appliance.config import Settings
from appliance.service import Service, State


class AdminRuntime:
    """The pages are served by the process itself; there is nothing to start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        return None

    def stop(self) -> None:
        return None

    def reload(self) -> None:
        return None

    def status(self) -> tuple[State, str]:
        return "running", ""


SERVICE = Service(
    name="admin",
    title="Administration",
    segment="admin",
    process="web",
    runtime=AdminRuntime,
    section="admin",
    always=True,
    summary="Pages, accounts and processes of this node.",
)
