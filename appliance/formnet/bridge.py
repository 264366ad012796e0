"""The bridge (rtnetlink through pyroute2), forwarding, and the guests' firewall."""

from __future__ import annotations

import contextlib
import threading
from ipaddress import IPv4Network
from pathlib import Path

from appliance import state
from appliance.config import Settings
from appliance.formnet import nft
from appliance.formnet.addresses import PORT, Network, network
from appliance.formnet.firewall import ruleset
from appliance.formnet.forwarding import (
    forwarding_folder,
    leave_forwarding,
    need_forwarding,
)
from appliance.formnet.routes import lan, routes

GUESTS = "guests"  # they need forwarding
_loaded: dict[str, tuple[str, str]] = {}  # by bridge: rules, and what became of them
_turn = threading.Lock()


def own_network(settings: Settings) -> Network:
    """The node's block of the range that it was set up with."""
    cidr = state.own_node(settings).get("cidr", settings.formnet.cidr)
    return network(settings.formnet.bridge, IPv4Network(cidr))


def ensure_network(settings: Settings) -> Network:
    """Make all as it should be; may be called again."""
    mend(settings)
    return own_network(settings)


def mend(settings: Settings) -> list[str]:
    """Put right what is missing or was changed, and say what that was."""
    found = own_network(settings)
    with _turn:
        mended = [*_mend_bridge(found), *_mend_forwarding(settings)]
        return mended + _mend_rules(settings, found)


def dissolve(settings: Settings) -> None:
    """Take bridge, rules and forwarding back, unless a guest is still plugged in."""
    from pyroute2 import IPRoute

    bridge = settings.formnet.bridge
    with _turn, IPRoute() as link:
        index = link.link_lookup(ifname=bridge)
        if index and link.link_lookup(master=index[0]):
            return
        if index:
            link.link("del", index=index[0])
        nft.remove()
        _loaded.pop(bridge, None)
        leave_forwarding(forwarding_folder(settings), GUESTS)


def _mend_bridge(found: Network) -> list[str]:
    from pyroute2 import IPRoute

    mended = []
    with IPRoute() as link:
        index = link.link_lookup(ifname=found.bridge)
        if not index:
            mended.append("the bridge was not there")
            link.link("add", ifname=found.bridge, kind="bridge", br_stp_state=0)
            index = link.link_lookup(ifname=found.bridge)
            _close_ipv6(found.bridge)
        have = {item.get_attr("IFA_ADDRESS") for item in link.get_addr(index=index[0])}
        if found.gateway not in have:
            mended.append("the bridge had no address")
            length = found.block.prefixlen
            link.addr("add", index=index[0], address=found.gateway, prefixlen=length)
        (now,) = link.get_links(index[0])
        if not now["flags"] & 1:
            link.link("set", index=index[0], state="up")
        for item in link.get_links():
            name = item.get_attr("IFLA_IFNAME")
            if name.startswith(PORT) and item.get_attr("IFLA_MASTER") != index[0]:
                mended.append(f"{name} was unplugged")
                link.link("set", index=item["index"], master=index[0], state="up")
    return mended


def _close_ipv6(bridge: str) -> None:
    """Guests speak IPv4 with the node; a link-local address would be one more door."""
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys/net/ipv6/conf", bridge, "disable_ipv6").write_text("1\n")


def _mend_forwarding(settings: Settings) -> list[str]:
    was_off = need_forwarding(forwarding_folder(settings), GUESTS)
    return ["forwarding was off"] if was_off else []


def _mend_rules(settings: Settings, found: Network) -> list[str]:
    rules = ruleset(
        found,
        settings.dns.port,
        settings.formnet.guest_access,
        lan(routes(found.bridge)),
    )
    known, digest = _loaded.get(found.bridge, ("", ""))
    if known == rules and nft.digest(nft.in_force()) == digest:
        return []
    nft.load(rules)
    _loaded[found.bridge] = rules, nft.digest(nft.in_force())
    return ["the rules were gone or changed" if known == rules else "rules were loaded"]
