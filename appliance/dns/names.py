"""The names of this node's zone, from the records as they are now."""

from __future__ import annotations

from dataclasses import dataclass

from appliance import state
from appliance.config import Settings
from appliance.dns.zone import Named, Zone, make_zone


@dataclass(frozen=True)
class Name:
    """A name as people see it: `health` is the best of its agent's instances';
    `holder` owns it where it is short."""

    fqdn: str
    agent: str
    addresses: tuple[str, ...]
    health: str
    holder: str | None


@dataclass(frozen=True)
class Vanity:
    """A domain that a Formfile asks for; it is kept, and not served yet."""

    domain: str
    agent: str
    deployment: str


def read_zone(settings: Settings, apex: str) -> Zone:
    """The zone as of the last record: its serial is that one's time, so that a
    clock that was set back does not set it back."""
    own = state.open_state(settings).own()
    serial = own.hlc // (1000 << 16) if own else 0
    named = [_named(record) for record in state.select("instance")]
    return make_zone(apex, named, serial, claims(apex))


def _named(record: state.Record) -> Named:
    body = record.body
    healthy = body["state"] == "healthy" and body.get("desired") == "running"
    return Named(body["owner_name"], body["name"], body["address"], healthy)


def claims(apex: str) -> dict[str, str]:
    """Whose each short name is."""
    found = {}
    for record in state.select("domain"):
        owner, _, name = str(record.body.get("agent", "")).partition("/")
        if record.id == f"{name}.{apex}":
            found[name] = owner
    return found


def list_names(zone: Zone) -> list[Name]:
    """Names that agents have or had claimed, each with its agent's health."""
    found = []
    health = _health()
    for owner, name in sorted(health):
        agent, short = f"{owner}/{name}", f"{name}.{zone.apex}"
        holder = zone.holders.get(name)
        full = f"{name}.{owner}.{zone.apex}"
        if holder == owner:
            found.append(_name(zone, short, agent, health[owner, name], holder))
        found.append(_name(zone, full, agent, health[owner, name], None))
    return found


def _name(zone: Zone, fqdn: str, agent: str, health: str, holder: str | None) -> Name:
    return Name(fqdn, agent, zone.lookup(fqdn) or (), health, holder)


def _health() -> dict[tuple[str, str], str]:
    best: dict[tuple[str, str], str] = {}
    for body in (record.body for record in state.select("instance")):
        key = (body["owner_name"], body["name"])
        if best.get(key) != "healthy":
            best[key] = body["state"]
    return best


def vanity_domains() -> list[Vanity]:
    """The domains of living deployments' Formfiles."""
    return sorted(
        (
            Vanity(
                f"{domain['host']}{domain['path'].rstrip('/')}",
                record.body["agent"],
                record.id,
            )
            for record in state.select("deployment")
            for domain in record.body.get("domains", ())
        ),
        key=lambda found: found.domain,
    )
