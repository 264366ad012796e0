"""Which addresses are the node's, and who may have them."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import IPv4Network

import pytest

from appliance import formnet, identity, state
from appliance.config import Settings
from appliance.formnet.firewall import ruleset
from appliance.problems import Unavailable
from appliance.state.server import StateServer


def test_the_range_of_the_set_up_counts(
    settings: Settings, records: StateServer
) -> None:
    assert formnet.own_network(settings).gateway == "10.42.0.1"
    node = identity.node_id(settings)
    assert node
    state.put("node", node, {"cidr": "10.99.0.0/16", "zone": "cellar.example"})
    assert formnet.own_network(settings).gateway == "10.99.0.1"


def test_addresses_are_given_once_and_run_out() -> None:
    block = IPv4Network("10.42.0.0/30")
    assert formnet.free_address(block, set()) == "10.42.0.2"
    with pytest.raises(Unavailable, match="full"):
        formnet.free_address(block, {"10.42.0.2"})


def test_what_is_granted_stands_before_what_is_refused() -> None:
    found = formnet.network("br0", IPv4Network("10.42.0.0/16"))
    rules = ruleset(found, 5300, [IPv4Network("192.168.7.0/24")])
    assert rules.index("192.168.7.0/24 accept") < rules.index("192.168.0.0/16")


BRIDGE = """
import sys
from ipaddress import IPv4Network
from pyroute2 import IPRoute
from appliance.formnet import bridge, network

found = network("br0", IPv4Network("10.42.0.0/16"))
bridge._ensure_bridge(found)
with IPRoute() as link:
    if "guest" in sys.argv:
        link.link("add", ifname="guest0", kind="veth", peer="guest1")
        index = link.link_lookup(ifname="guest0")[0]
        link.link("set", index=index, master=link.link_lookup(ifname="br0")[0])
    bridge.dissolve("br0")
    print(len(link.link_lookup(ifname="br0")))
"""


@pytest.mark.parametrize(("port", "left"), [("", "0"), ("guest", "1")])
def test_the_bridge_goes_unless_a_guest_is_plugged_in(port: str, left: str) -> None:
    command = ["unshare", "--net", sys.executable, "-c", BRIDGE, port]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == left
