"""formnet: the bridge that guests are plugged into, and what they may reach."""

from appliance.formnet.addresses import Network, free_address, mac, network, port
from appliance.formnet.bridge import ensure_network, own_network
from appliance.formnet.firewall import PRIVATE
from appliance.formnet.forwarding import (
    forwarding_folder,
    forwarding_holders,
    leave_forwarding,
    need_forwarding,
)
from appliance.formnet.leftovers import leftovers, remove_leftover
from appliance.formnet.routes import clash, free_range, routes

__all__ = [
    "PRIVATE",
    "Network",
    "clash",
    "ensure_network",
    "forwarding_folder",
    "forwarding_holders",
    "free_address",
    "free_range",
    "leave_forwarding",
    "leftovers",
    "mac",
    "need_forwarding",
    "network",
    "own_network",
    "port",
    "remove_leftover",
    "routes",
]
