"""Names and the guest network."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from appliance.dns.names import Name, Vanity
from blueprints.shapes import Answer, Moment


class Names(Answer):
    zone: str
    names: dict[str, list[str]] = Field(description="Addresses by name.")
    agents: list[Name]
    domains: list[Vanity]


class Queries(Answer):
    since: Moment | None
    listens: list[str]
    forwarders: list[str]
    queries: dict[str, int]


class Address(Answer):
    address: str
    port: Any
    instance: str
    agent: str
    state: str


class Loaded(Answer):
    time: Moment
    rules: str
    packets: dict[str, int]
    blocked_by: list[str]


class Network(Answer):
    range: str
    block: str
    bridge: str
    gateway: str
    size: int
    addresses: list[Address]
    granted: list[str]
    loaded: Loaded | None = Field(description="null until formnet has run.")
