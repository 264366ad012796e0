"""The bridge (rtnetlink through pyroute2) and the guests' firewall (nft)."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from appliance import state
from appliance.config import Settings
from appliance.formnet.addresses import Network, network
from appliance.formnet.firewall import ruleset
from appliance.problems import Problem


def own_network(settings: Settings) -> Network:
    """The node's block of the range that it was set up with."""
    cidr = state.own_node(settings).get("cidr", settings.formnet.cidr)
    return network(settings.formnet.bridge, IPv4Network(cidr))


def ensure_network(settings: Settings) -> Network:
    """Make bridge, address and rules as they should be; may be called again."""
    found = own_network(settings)
    _ensure_bridge(found)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    rules = ruleset(found, settings.dns.port, settings.formnet.guest_access)
    done = subprocess.run(
        ["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem("firewall-failed", f"nft: {done.stderr.strip()[:300]}")
    return found


def dissolve(bridge: str) -> None:
    """Take bridge and rules away, unless a guest is still plugged in."""
    from pyroute2 import IPRoute

    with IPRoute() as link:
        index = link.link_lookup(ifname=bridge)
        if index and link.link_lookup(master=index[0]):
            return
        if index:
            link.link("del", index=index[0])
    remove = "table inet formation\ndelete table inet formation\n"
    subprocess.run(["nft", "-f", "-"], input=remove, text=True, check=False)


def _ensure_bridge(found: Network) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as link:
        index = link.link_lookup(ifname=found.bridge)
        if not index:
            link.link("add", ifname=found.bridge, kind="bridge", br_stp_state=0)
            index = link.link_lookup(ifname=found.bridge)
        have = {
            dict(a["attrs"]).get("IFA_ADDRESS") for a in link.get_addr(index=index[0])
        }
        if found.gateway not in have:
            length = found.block.prefixlen
            link.addr("add", index=index[0], address=found.gateway, prefixlen=length)
        link.link("set", index=index[0], state="up")
