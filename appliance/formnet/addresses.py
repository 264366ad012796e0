"""Who has which address. Pure. A node owns one /24; its first is the bridge."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network

from appliance.problems import Unavailable


@dataclass(frozen=True)
class Network:
    bridge: str
    gateway: str
    block: IPv4Network


def network(bridge: str, cidr: IPv4Network) -> Network:
    """The first /24 of the federation's range, which a lone node owns."""
    block = next(cidr.subnets(new_prefix=max(24, cidr.prefixlen)))
    return Network(bridge, str(block[1]), block)


def free_address(block: IPv4Network, taken: Collection[str]) -> str:
    """The lowest guest address that nobody has."""
    for address in list(block.hosts())[1:]:
        if str(address) not in taken:
            return str(address)
    raise Unavailable(
        "addresses-exhausted", f"{block} is full; delete instances that are not needed."
    )
