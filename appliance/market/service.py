"""marketplace as a service: the engine, in formation-gateway."""

from __future__ import annotations

from appliance.config import Settings
from appliance.market.engine import current
from appliance.service import Service, State


class MarketRuntime:
    def __init__(self, settings: Settings) -> None:
        self._engine = current()

    def start(self) -> None:
        self._engine.recover()

    def stop(self) -> None:
        return None

    def reload(self) -> None:
        return None

    def status(self) -> tuple[State, str]:
        return "running", ""


SERVICE = Service(
    name="marketplace",
    title="Marketplace",
    segment="market",
    process="gateway",
    runtime=MarketRuntime,
    section="market",
    depends=("form-state",),
    summary="The catalogue of agents, and the gateway that calls them.",
    operations="appliance.market.kinds",
)
