"""Who has which address. Pure. A node owns one /24; its first is the bridge."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from appliance.problems import Unavailable

PORT = "formg-"


@dataclass(frozen=True)
class Network:
    bridge: str
    gateway: str
    block: IPv4Network


def network(bridge: str, cidr: IPv4Network) -> Network:
    """The first /24 of the federation's range, which a lone node owns."""
    block = next(cidr.subnets(new_prefix=max(24, cidr.prefixlen)))
    return Network(bridge, str(block[1]), block)


def mac(address: str) -> str:
    """A guest's locally administered MAC; it follows from the IPv4 address."""
    return "52:46:" + ":".join(f"{part:02x}" for part in IPv4Address(address).packed)


def port(address: str) -> str:
    """The name of a guest's port on the bridge; it follows from the address too, so
    that the rules know who is who without being told."""
    return PORT + IPv4Address(address).packed.hex()


def guests(found: Network) -> list[tuple[str, str, str]]:
    """(port, MAC, address) of every guest that the block has room for."""
    hosts = [str(address) for address in list(found.block.hosts())[1:]]
    return [(port(address), mac(address), address) for address in hosts]


def free_address(block: IPv4Network, taken: Collection[str]) -> str:
    """The lowest guest address that nobody has."""
    for address in list(block.hosts())[1:]:
        if str(address) not in taken:
            return str(address)
    raise Unavailable(
        "addresses-exhausted", f"{block} is full; delete instances that are not needed."
    )
