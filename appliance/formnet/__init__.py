"""formnet: the bridge that guests are plugged into, and what they may reach."""

from appliance.formnet.addresses import Network, free_address, network
from appliance.formnet.bridge import ensure_network, own_network

__all__ = ["Network", "ensure_network", "free_address", "network", "own_network"]
