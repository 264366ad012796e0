"""formnet: the bridge that guests are plugged into, and what they may reach."""

from appliance.formnet.addresses import Network, free_address, network
from appliance.formnet.bridge import ensure_network, own_network
from appliance.formnet.firewall import PRIVATE

__all__ = [
    "PRIVATE",
    "Network",
    "ensure_network",
    "free_address",
    "network",
    "own_network",
]
