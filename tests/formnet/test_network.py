"""Which addresses are the node's, and who may have them."""

from __future__ import annotations

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
