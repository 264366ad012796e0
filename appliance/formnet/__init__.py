"""formnet: the bridge that guests are plugged into, and what they may reach."""

from appliance.formnet.addresses import Network, free_address, mac, network, port
from appliance.formnet.bridge import ensure_network, own_network
from appliance.formnet.firewall import PRIVATE
from appliance.formnet.routes import clash, free_range, routes

__all__ = [
    "PRIVATE",
    "Network",
    "clash",
    "ensure_network",
    "free_address",
    "free_range",
    "mac",
    "network",
    "own_network",
    "port",
    "routes",
]
