"""marketplace as a service: the engine, in formation-gateway."""

from __future__ import annotations

from appliance import state
from appliance.service import Chart, Eyes, Page, Served, Service


class MarketRuntime(Served):
    def start(self) -> None:
        from appliance.market.engine import current

        current().open()

    def reload(self) -> None:
        from appliance.market.engine import current

        super().reload()
        current().reload(self._settings)

    def stop(self) -> None:
        from appliance.market.engine import current

        current().close()


def how_many(eyes: Eyes) -> int:
    """Agents that an account knows."""
    if eyes.sees_all:
        return state.count("agent")
    return sum(eyes.knows(record.id) for record in state.select("agent"))


SERVICE = Service(
    name="marketplace",
    title="Marketplace",
    segment="market",
    process="gateway",
    runtime=MarketRuntime,
    section="market",
    depends=("form-state",),
    summary="The catalogue of agents, and the gateway that calls them.",
    without="Agents cannot be called.",
    operations="appliance.market.kinds",
    measures="appliance.market.measures",
    charts=(
        Chart("Tasks a minute", ("tasks", "tasks_failed")),
        Chart("Open tasks", ("tasks_working", "tasks_waiting")),
    ),
    pages=(
        Page("/market/", "Agents", rank=20, count=how_many),
        Page("/market/tasks", "Tasks", rank=50),
    ),
)
