"""Which addresses are the node's, and who may have them."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import IPv4Network

import pytest

from appliance import formnet, identity, state
from appliance.admin import setup
from appliance.config import Settings
from appliance.formnet.addresses import guests
from appliance.formnet.firewall import ruleset
from appliance.formnet.routes import Route, clash, lan
from appliance.problems import Invalid, Unavailable
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
    granted = "192.168.7.0/24 counter name out accept"
    assert rules.index(granted) < rules.index("@closed")


def test_ports_and_macs_follow_from_addresses() -> None:
    assert formnet.port("10.42.0.2") == "formg-0a2a0002"
    assert formnet.mac("10.42.0.2") == "52:46:0a:2a:00:02"
    found = guests(formnet.network("br0", IPv4Network("10.42.0.0/16")))
    assert found[0] == ("formg-0a2a0002", "52:46:0a:2a:00:02", "10.42.0.2")
    assert len(found) == 253
    assert all(len(name) <= 15 for name, _, _ in found)


ROUTES = [
    Route(IPv4Network("10.42.7.0/24"), "wg0", True),
    Route(IPv4Network("192.0.2.0/24"), "eth0", True),
    Route(IPv4Network("10.43.0.0/16"), "eth0", False),
]


def test_a_range_in_the_way_of_the_machines_routes_is_refused() -> None:
    sentence = clash(IPv4Network("10.42.0.0/16"), ROUTES)
    assert sentence == (
        "10.42.0.0/16 overlaps 10.42.7.0/24, which this machine reaches by wg0; take "
        "a range that nothing else uses, such as 10.44.0.0/16"
    )
    assert clash(IPv4Network("10.44.0.0/16"), ROUTES) is None


def test_the_lan_is_closed_where_it_is_not_anyway() -> None:
    assert lan(ROUTES) == [IPv4Network("192.0.2.0/24")]
    found = formnet.network("br0", IPv4Network("10.42.0.0/16"))
    assert "192.0.2.0/24" in ruleset(found, 5300, [], lan(ROUTES))


def test_set_up_says_which_range_is_taken_and_proposes_a_free_one(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formnet, "routes", lambda bridge: ROUTES)
    assert setup.node_defaults(settings)["cidr"] == "10.44.0.0/16"
    with pytest.raises(Invalid, match="overlaps 10.42.7.0/24") as refused:
        setup.node_answers(settings, {"name": "cellar", "cidr": "10.42.0.0/16"})
    assert "overlaps" in refused.value.members["errors"]["cidr"]
    assert setup.node_answers(settings, {"name": "cellar"})["cidr"] == "10.44.0.0/16"


ROUTE = """
import json
from appliance.formnet.routes import routes
print(json.dumps([[str(r.network), r.device, r.is_on_link] for r in routes("br0")]))
"""


def test_routes_are_read_as_the_kernel_has_them() -> None:
    script = "ip link set lo up; ip link add br0 type bridge"
    script += "; ip link add eth7 type veth"
    script += "; ip addr add 10.42.0.1/24 dev br0; ip link set br0 up"
    script += "; ip addr add 192.0.2.2/24 dev eth7; ip link set eth7 up"
    script += "; ip route add 10.9.0.0/16 via 192.0.2.1; ip route add default via"
    script += ' 192.0.2.1; exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", script, sys.executable, ROUTE],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(json.loads(done.stdout)) == [
        ["10.9.0.0/16", "eth7", False],
        ["192.0.2.0/24", "eth7", True],
    ]
