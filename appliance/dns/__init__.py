"""form-dns: names of agents."""

from appliance import state
from appliance.config import Settings


def apex(settings: Settings) -> str:
    """The zone that the node was set up with; until then the setting's."""
    return str(state.own_node(settings).get("zone", settings.dns.zone))


__all__ = ["apex"]
