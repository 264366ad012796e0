"""The zone: which names exist and where they lead. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Zone:
    """`addresses` has every name; an empty tuple is a name without an answer.
    `holders` says whose each short name is."""

    apex: str
    addresses: Mapping[str, tuple[str, ...]]
    serial: int
    holders: Mapping[str, str] = field(default_factory=dict)

    def lookup(self, name: str) -> tuple[str, ...] | None:
        """Addresses of a name, or None where the name does not exist."""
        return self.addresses.get(name.lower().rstrip("."))

    def covers(self, name: str) -> bool:
        bare = name.lower().rstrip(".")
        return bare == self.apex or bare.endswith(f".{self.apex}")


@dataclass(frozen=True)
class Named:
    """What the zone needs of an instance."""

    owner: str
    name: str
    address: str | None
    healthy: bool


def make_zone(
    apex: str,
    instances: Iterable[Named],
    serial: int,
    claims: Mapping[str, str] = MappingProxyType({}),
) -> Zone:
    """NAME.OWNER.ZONE and NAME.ZONE of each agent; healthy instances answer.

    `claims` says whose a short name is; unclaimed ones are the first owner's.
    """
    apex = apex.lower().rstrip(".")
    names: dict[str, list[str]] = {apex: []}
    short = dict(claims)
    for item in instances:
        names.setdefault(f"{item.owner}.{apex}", [])
        answers = names.setdefault(f"{item.name}.{item.owner}.{apex}", [])
        holder = short.setdefault(item.name, item.owner)
        alias = names.setdefault(f"{item.name}.{apex}", [])
        if item.healthy and item.address:
            answers.append(item.address)
            if holder == item.owner:
                alias.append(item.address)
    answers_of = {name: tuple(found) for name, found in names.items()}
    return Zone(apex, answers_of, serial, short)
