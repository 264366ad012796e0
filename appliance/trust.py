"""Who is trusted without a password: nodes, networks, the machine itself.

Entries of `auth.trusted_nodes` and `auth.trusted_addresses` are `WHO` or `WHO=ROLE`;
an auditor reads all and changes nothing, an operator does everything. Addresses come
from the kernel or from Caddy, never from what a client says of itself. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

ROLES = ("auditor", "operator")
NODE = re.compile(r"[0-9a-f]{64}")
Address = IPv4Address | IPv6Address


def split(entry: str) -> tuple[str, str]:
    """Who, and as what."""
    who, _, role = entry.partition("=")
    return who.strip(), role.strip() or ROLES[0]


def node(entry: str) -> str:
    """An entry of `auth.trusted_nodes`; raises ValueError with a sentence."""
    who, role = _checked(entry)
    if not NODE.fullmatch(who):
        raise ValueError("must be a node's id, 64 characters of 0-9 and a-f")
    return f"{who}={role}"


def network(entry: str) -> str:
    """An entry of `auth.trusted_addresses`; raises ValueError with a sentence."""
    who, role = _checked(entry)
    try:
        found = ip_network(who)
    except ValueError as error:
        raise ValueError(f"must be an address or a network: {error}") from None
    if found.prefixlen == 0:
        raise ValueError("would trust everybody; name the networks that you mean")
    if found.is_loopback:
        raise ValueError("is this machine: use auth.loopback_trust")
    if _is_mapped(found.network_address):
        raise ValueError("must be written as IPv4, as in 192.0.2.0/24")
    return f"{found}={role}"


def _checked(entry: str) -> tuple[str, str]:
    who, role = split(entry)
    if role not in ROLES:
        raise ValueError(f"the role after = must be {' or '.join(ROLES)}")
    return who, role


def _is_mapped(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


def canonical(text: str) -> Address | None:
    """The address, a mapped IPv4 one as IPv4; None for what is none, and for one with a
    zone, which says something else on each interface."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    return None if found.scope_id else found.ipv4_mapped or found


def is_loopback(text: str) -> bool:
    found = canonical(text)
    return found is not None and found.is_loopback


def role_of_address(text: str, entries: Iterable[str]) -> str | None:
    """What the narrowest network with this address is trusted as."""
    address = canonical(text)
    pairs = [(ip_network(who), role) for who, role in map(split, entries)]
    fitting = [pair for pair in pairs if address is not None and address in pair[0]]
    return max(fitting, key=lambda pair: pair[0].prefixlen)[1] if fitting else None


def role_of_node(id_: str, entries: Iterable[str]) -> str | None:
    """What the node of this id is trusted as."""
    return dict(map(split, entries)).get(id_)
