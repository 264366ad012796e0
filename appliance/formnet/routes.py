"""The machine's own routes, and whether a range is in their way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from appliance.formnet.firewall import PRIVATE, RESERVED

MAIN = 254
WIDEST = 8  # shorter prefixes are ways to everywhere, such as those of a VPN


@dataclass(frozen=True)
class Route:
    network: IPv4Network
    device: str
    is_on_link: bool


def routes(bridge: str) -> list[Route]:
    """IPv4 routes but for those to everywhere and those of our own bridge."""
    from pyroute2 import IPRoute

    found = []
    with IPRoute() as link:
        names = {
            item["index"]: item.get_attr("IFLA_IFNAME") for item in link.get_links()
        }
        for item in link.get_routes(family=2, table=MAIN):
            device = names.get(item.get_attr("RTA_OIF"), "")
            target = item.get_attr("RTA_DST")
            if target is None or item["dst_len"] < WIDEST or device == bridge:
                continue
            network = IPv4Network(f"{target}/{item['dst_len']}")
            found.append(Route(network, device, item.get_attr("RTA_GATEWAY") is None))
    return found


def lan(found: Iterable[Route]) -> list[IPv4Network]:
    """Networks that the machine is plugged into, but for those that are closed to
    guests anyway."""
    closed = [IPv4Network(text) for text in (*PRIVATE, *RESERVED)]
    networks = {route.network for route in found if route.is_on_link}
    return sorted(
        network
        for network in networks
        if not any(network.subnet_of(other) for other in closed)
    )


def clash(cidr: IPv4Network, found: Iterable[Route]) -> str | None:
    """The sentence that says which route a range would cover; None where none."""
    for route in found:
        if cidr.overlaps(route.network):
            return (
                f"{cidr} overlaps {route.network}, which this machine reaches by "
                f"{route.device or 'a route of its own'}; take a range that nothing "
                f"else uses, such as {free_range(found) or 'another private one'}"
            )
    return None


def free_range(found: Iterable[Route]) -> IPv4Network | None:
    """A /16 that no route of the machine leads to."""
    taken = [route.network for route in found]
    for second in (*range(42, 256), *range(42)):
        cidr = IPv4Network(f"10.{second}.0.0/16")
        if not any(cidr.overlaps(network) for network in taken):
            return cidr
    return None
