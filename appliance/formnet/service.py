"""formnet as a service: bridge and firewall, in formation-jobs."""

from __future__ import annotations

from pathlib import Path

from appliance.config import Settings
from appliance.formnet.bridge import dissolve, ensure_network
from appliance.service import Service, State


class FormnetRuntime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self) -> None:
        ensure_network(self._settings)

    def stop(self) -> None:
        """Leave nothing behind; guests that stay keep their network."""
        dissolve(self._settings.formnet.bridge)

    def reload(self) -> None:
        ensure_network(self._settings)

    def status(self) -> tuple[State, str]:
        bridge = self._settings.formnet.bridge
        if Path("/sys/class/net", bridge).exists():
            return "running", ""
        return "degraded", f"the bridge {bridge} is gone; reload formnet"


SERVICE = Service(
    name="formnet",
    title="Guest network",
    segment="formnet",
    process="jobs",
    runtime=FormnetRuntime,
    section="formnet",
    depends=("form-state",),
    summary="The bridge that instances are plugged into, and what they may reach.",
)
