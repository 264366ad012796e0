"""What guests reach and what not, with a real bridge, real rules and real packets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from appliance import formnet
from appliance.config import Settings
from appliance.state.server import StateServer
from tests.formnet.net import ARP, Net

MEND = """
import json, subprocess, sys
from appliance.config import settings
from appliance.formnet import bridge
found = []
for act in [None, *sys.argv[1:]]:
    if act:
        subprocess.run(act, shell=True, check=True)
    found.append(bridge.mend(settings()))
print(json.dumps(found))
"""
REPORT = """
import json
from appliance.config import settings
from appliance.formnet.service import FormnetRuntime
runtime = FormnetRuntime(settings())
runtime.start()
print(json.dumps(runtime.status()))
runtime._ended.set()
"""
WATCH = """
import subprocess, threading
from appliance import events, schema
from appliance.config import settings
from appliance.formnet import service
service.ROUND_S = 0.05
schema.open_all(settings())
runtime = service.FormnetRuntime(settings())
runtime.start()
subprocess.run(["nft", "flush", "ruleset"], check=True)
while not events.lately(1):
    threading.Event().wait(0.05)
print(events.lately(1)[0].text, runtime.status()[0])
subprocess.run(["nft", "list", "table", "inet", "formation"], check=True, stdout=-3)
runtime.stop()
"""
STOP = """
from appliance.config import settings
from appliance.formnet import bridge
bridge.mend(settings())
bridge.dissolve(settings())
"""
PUBLIC, LAN, PRIVATE, GRANTED = (
    "198.51.100.7",
    "192.0.2.1",
    "172.20.0.5",
    "172.21.0.5",
)


@pytest.fixture
def net(
    records: StateServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Net]:
    monkeypatch.setenv("FORMATION_FORMNET__BRIDGE", "formt0")
    monkeypatch.setenv("FORMATION_FORMNET__GUEST_ACCESS", '["172.21.0.0/16"]')
    found = Net()
    yield found
    found.close()


def mend(net: Net, *acts: str) -> list[list[str]]:
    found = json.loads(net.node.python(MEND, *acts))
    assert isinstance(found, list)
    return found


def counted(net: Net, name: str) -> int:
    found = 0
    for family in ("inet", "bridge"):
        listed = net.node.sh(f"nft -j list counters table {family} formation")
        for item in json.loads(listed)["nftables"]:
            if item.get("counter", {}).get("name") == name:
                found += item["counter"]["packets"]
    return found


def test_guests_reach_the_internet_and_names_and_nothing_else(net: Net) -> None:
    mend(net)
    one, other = net.guest("10.42.0.2"), net.guest("10.42.0.3")
    for space in (net.node, net.internet, other):
        space.serve()
    allowed = [
        f"tcp {PUBLIC} 80",
        f"udp {PUBLIC} 53",
        f"tcp {GRANTED} 80",
        "udp 10.42.0.1 53",
        "tcp 10.42.0.1 53",
    ]
    refused = [
        "tcp 10.42.0.3 80",
        "udp 10.42.0.3 80",
        "tcp 10.42.0.1 22",
        "tcp 10.42.0.1 8443",
        "udp 10.42.0.1 80",
        "tcp 192.0.2.2 22",
        "udp 192.0.2.2 5453",
        f"tcp {LAN} 80",
        f"tcp {PRIVATE} 80",
        f"udp {PRIVATE} 53",
    ]
    found = one.reach(*allowed, *refused)
    assert [what for what in allowed if not found[what]] == []
    assert [what for what in refused if found[what]] == []
    assert found[f"tcp {PUBLIC} 80"] == "192.0.2.2"  # its own address stays inside
    assert net.node.reach("tcp 10.42.0.3 80")["tcp 10.42.0.3 80"] == "10.42.0.1"
    for name in ("to_node", "to_private", "out", "names"):
        assert counted(net, name) > 0, name


def test_nobody_outside_reaches_a_guest(net: Net) -> None:
    mend(net)
    net.guest("10.42.0.2").serve()
    net.internet.sh("ip route add 10.42.0.0/24 via 192.0.2.2")
    assert net.internet.reach("tcp 10.42.0.2 80") == {"tcp 10.42.0.2 80": ""}
    assert counted(net, "from_outside") > 0


def test_link_local_ipv6_between_guests_and_to_the_node_is_closed(net: Net) -> None:
    mend(net)
    one, other = net.guest("10.42.0.2"), net.guest("10.42.0.3")
    other.serve()
    local = other.sh("ip -6 -o addr show dev eth0 scope link").split()[3].split("/")[0]
    target = f"tcp {local}%eth0 80"
    assert one.reach(target) == {target: ""}
    assert "inet6" not in net.node.sh("ip addr show dev formt0")
    net.node.sh("nft delete table bridge formation")
    assert one.reach(target)[target]  # it was the rules that refused it


@pytest.mark.parametrize(
    "lie",
    [
        "ip addr flush dev eth0; ip addr add 10.42.0.9/24 dev eth0;",
        "ip addr flush dev eth0; ip addr add 10.42.0.3/24 dev eth0;",
        "ip addr flush dev eth0; ip addr add 10.42.0.1/24 dev eth0;",
        "ip link set eth0 address 52:46:0a:2a:00:09;",
        "ip addr flush dev eth0; ip addr add 10.42.0.3/24 dev eth0;"
        "ip link set eth0 address 52:46:0a:2a:00:03;",
    ],
    ids=["free address", "guest's address", "gateway's", "MAC", "address and MAC"],
)
def test_a_guest_speaks_only_as_itself(net: Net, lie: str) -> None:
    mend(net)
    guest, _ = net.guest("10.42.0.2"), net.guest("10.42.0.3")
    net.internet.serve()
    target = f"tcp {PUBLIC} 80"
    assert guest.reach(target)[target]
    net.node.sh("ip neigh flush dev formt0")
    router = json.loads(net.node.sh("ip -j link show formt0"))[0]["address"]
    guest.sh(f"{lie} ip route replace {PUBLIC} dev eth0")
    guest.sh(f"ip neigh replace {PUBLIC} lladdr {router} dev eth0")
    assert guest.reach(target) == {target: ""}
    assert counted(net, "spoofed") > 0


@pytest.mark.parametrize("claimed", ["10.42.0.1", "10.42.0.3"])
@pytest.mark.parametrize("header", ["52:46:0a:2a:00:02", "52:46:0a:2a:00:03"])
def test_no_guest_draws_anothers_packets_by_arp(
    net: Net, claimed: str, header: str
) -> None:
    mend(net)
    guest, other = net.guest("10.42.0.2"), net.guest("10.42.0.3")
    other.serve()
    known = "tcp 10.42.0.3 80"
    assert net.node.reach(known)[known]
    before = net.node.sh("ip neigh show 10.42.0.3 dev formt0").split()[:3]
    own = formnet.mac("10.42.0.2")
    guest.python(ARP, claimed, own, header)
    assert counted(net, "spoofed") == 1
    assert net.node.sh("ip neigh show 10.42.0.3 dev formt0").split()[:3] == before
    assert own not in other.sh("ip neigh show")


def test_what_others_broke_is_noticed_and_mended(net: Net) -> None:
    replug = f"ip link add {formnet.port('10.42.0.2')} type veth peer name peer0"
    acts = (
        "true",
        "nft flush ruleset",
        "nft add rule inet formation input accept",
        "nft delete table bridge formation",
        f"ip link delete formt0; {replug}",
        "ip addr flush dev formt0",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
    )
    first, *found = mend(net, *acts)
    assert "the bridge was not there" in first
    changed = ["the rules were gone or changed"]
    assert found[:4] == [[], changed, changed, changed]
    port = formnet.port("10.42.0.2")
    assert found[4] == [
        "the bridge was not there",
        "the bridge had no address",
        f"{port} was unplugged",
    ]
    assert found[5:] == [["the bridge had no address"], ["forwarding was off"]]
    assert "master formt0" in net.node.sh(f"ip link show {port}")


def test_the_rounds_mend_and_say_so(net: Net) -> None:
    assert net.node.python(WATCH) == (
        "The guest network was mended: the rules were gone or changed running"
    )


def test_counts_outlive_a_mending_that_has_nothing_to_do(net: Net) -> None:
    mend(net)
    net.guest("10.42.0.2").reach("tcp 10.42.0.1 22")
    assert counted(net, "to_node") > 0
    assert mend(net, "true")[1] == []


@pytest.mark.parametrize("before", ["0", "1"])
def test_forwarding_is_put_back_as_it_was(net: Net, before: str) -> None:
    net.node.sh(f"echo {before} > /proc/sys/net/ipv4/ip_forward")
    net.node.python(STOP)
    assert net.node.sh("cat /proc/sys/net/ipv4/ip_forward").strip() == before
    assert net.node.sh("nft list ruleset") == ""
    assert "formt0" not in net.node.sh("ip link")


def test_what_is_plugged_in_keeps_its_network(net: Net) -> None:
    mend(net)
    guest = net.guest("10.42.0.2")
    net.internet.serve()
    net.node.python(STOP)
    target = f"tcp {PUBLIC} 80"
    assert guest.reach(target)[target]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (
            "table ip filter { chain FORWARD { type filter hook forward priority 0;"
            "policy drop; }; }",
            "iptables -I FORWARD -i formt0 -j ACCEPT",
        ),
        (
            "table inet firewalld { chain filter_FORWARD { type filter hook forward "
            "priority 10; ct state established accept; counter reject; }; }",
            "firewall-cmd",
        ),
        (
            "table ip filter { chain INPUT { type filter hook input priority 0; "
            "policy drop; }; }",
            "iptables -I INPUT -i formt0 -j ACCEPT",
        ),
        (
            "table ip filter { chain FORWARD { type filter hook forward priority 0;"
            'policy drop; iifname "formt0" accept; }; }',
            "",
        ),
        (
            "table ip filter { chain FORWARD { type filter hook forward priority 0;"
            "ip daddr 192.0.2.9 drop; }; }",
            "",
        ),
    ],
)
def test_a_firewall_in_the_way_is_said_with_its_cure(
    net: Net, rules: str, why: str
) -> None:
    net.node.sh(f"echo '{rules}' | nft -f -")
    state, reason = json.loads(net.node.python(REPORT))
    assert (state, why in reason) == ("degraded" if why else "running", True)


def test_the_cure_cures(net: Net) -> None:
    mend(net)
    guest = net.guest("10.42.0.2")
    net.internet.serve()
    net.node.sh(
        "echo 'table ip filter { chain FORWARD { type filter hook forward priority 0;"
        "policy drop; }; }' | nft -f -"
    )
    target = f"tcp {PUBLIC} 80"
    assert guest.reach(target) == {target: ""}
    net.node.sh(
        "iptables -I FORWARD -i formt0 -j ACCEPT && iptables -I FORWARD "
        "-o formt0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    assert guest.reach(target)[target]
    assert json.loads(net.node.python(REPORT))[0] == "running"


BUILD = """
import subprocess, sys, threading
from ipaddress import IPv4Network
from pathlib import Path
from appliance import formnet
from appliance.config import settings
from appliance.formnet import bridge
from appliance.pack import network
from appliance.pack.reach import Reach

def on():
    return FORWARDING.read_text().strip()

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
folder = formnet.forwarding_folder(settings())
own = Path("/proc/self/ns/net").readlink()
child = subprocess.Popen(["unshare", "-n", "sleep", "60"])
while Path(f"/proc/{child.pid}/ns/net").readlink() == own:
    threading.Event().wait(0.01)
seen = [on()]
block = IPv4Network("198.18.255.0/24")
with network.attached(child.pid, Reach(), block, (), folder):
    seen.append(on())
seen.append(on())
way = network.attached(child.pid, Reach(), block, (), folder)
way.__enter__()
bridge.mend(settings())
bridge.dissolve(settings())
seen.append(on())
child.kill()
child.wait()
network.sweep(folder)  # the builder died: it never left
seen.append(on())
print(*seen)
"""


@pytest.mark.parametrize(("before", "seen"), [("0", "0 1 0 1 0"), ("1", "1 1 1 1 1")])
def test_builds_put_forwarding_back_whether_formnet_is_on_or_off(
    net: Net, before: str, seen: str
) -> None:
    net.node.sh(f"echo {before} > /proc/sys/net/ipv4/ip_forward")
    assert net.node.python(BUILD) == seen
