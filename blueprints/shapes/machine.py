"""The machine's own settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from blueprints.shapes import Answer, Wish


class NetworkWish(Wish):
    method: Literal["dhcp", "static"] = "dhcp"
    interface: str = Field("", description="A card; empty: the only one, or all wired.")
    address: str | None = Field(None, description="192.168.1.20/24, where static.")
    gateway: str | None = None
    dns: list[str] = []


class MachineWish(Wish):
    """What is left out stays as it is."""

    time_zone: str | None = Field(None, description="Such as Europe/Berlin.")
    host_name: str | None = Field(None, description="Its name in mDNS, too.")
    network: NetworkWish | None = Field(
        None, description="Returns by itself after a minute unless it is kept."
    )
    ssh_keys: list[str] | None = Field(
        None, description="Lines of .pub files: all that root may log in by."
    )


class Network(Answer):
    method: str
    interface: str
    address: str | None
    gateway: str | None
    dns: list[str]


class Card(Answer):
    name: str
    is_up: bool
    addresses: list[str]
    hardware: str


class Key(Answer):
    kind: str
    fingerprint: str
    comment: str


class Machine(Answer):
    managed: bool = Field(description="Whether the node sets this machine: appliance.")
    host_name: str
    time_zone: str
    mdns_name: str = Field(description="Empty where the node does not care for it.")
    network: Network = Field(description="What is kept; DHCP where nothing is.")
    cards: list[Card]
    ssh_keys: list[Key] = Field(description="Who may log in as root; none: SSH is off.")
    pending_s: int | None = Field(
        description="Seconds in which a changed network must be kept."
    )


class Kept(Answer):
    kept: bool
