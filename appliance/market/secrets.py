"""Secrets of agents: sealed to this node as they come in, opened at boot only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from peewee import BlobField, CompositeKey, FloatField, TextField

from appliance import clock, identity, state
from appliance.config import settings
from appliance.database import NodeModel
from appliance.problems import Invalid

LONGEST = 64 * 1024


class Secret(NodeModel):
    owner = TextField()
    agent = TextField()
    name = TextField()
    sealed = BlobField()
    changed = FloatField()

    class Meta:
        primary_key = CompositeKey("owner", "agent", "name")


def put(owner: str, agent: str, name: str, value: str) -> None:
    """Seal and keep; takes effect at the agent's next deployment."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Invalid(f"{name[:40]}: letters, digits and _ only.", name="wrong name")
    if len(value) > LONGEST or "\0" in value:
        raise Invalid("A secret is a text of at most 64 KiB.", value="too long")
    sealed = identity.seal(identity.sealing_public(settings()), value.encode())
    Secret.insert(
        owner=owner, agent=agent, name=name, sealed=sealed, changed=clock.now()
    ).on_conflict_replace().execute()


def hand_over(owner: str, agent: str, heir: str) -> None:
    """They are the heir's from now on, sealed as they are."""
    Secret.update(owner=heir).where(
        (Secret.owner == owner) & (Secret.agent == agent)
    ).execute()


def forget_all(owner: str) -> None:
    """Those too that were set for an agent that never was."""
    Secret.delete().where(Secret.owner == owner).execute()


def names(owner: str, agent: str) -> list[str]:
    """Which secrets are set; never their values."""
    return sorted(_changed(owner, agent))


def _changed(owner: str, agent: str) -> dict[str, float]:
    rows = Secret.select(Secret.name, Secret.changed).where(
        (Secret.owner == owner) & (Secret.agent == agent)
    )
    return {row.name: row.changed for row in rows}


@dataclass(frozen=True)
class Known:
    """A secret that is set (`changed` says when), or that the Formfile asks for."""

    name: str
    changed: float | None
    is_asked: bool


def listing(owner: str, agent: str) -> list[Known]:
    """What the latest version's Formfile asks for and what is set, by name."""
    changed, asked = _changed(owner, agent), set(_asked(f"{owner}/{agent}"))
    return [
        Known(name, changed.get(name), name in asked)
        for name in sorted({*changed, *asked})
    ]


def _asked(agent: str) -> list[str]:
    found = state.find("agent", agent)
    latest = found.body.get("latest") if found else None
    version = state.find("version", f"{agent}@{latest}")
    return list(version.body["formfile"].get("secrets") or ()) if version else []


def waiting(owner: str, agent: str) -> bool:
    """Whether something was set after what runs was deployed."""
    running = state.select("instance", agent=f"{owner}/{agent}")
    changed = _changed(owner, agent).values()
    born = max((str(record.body.get("created", "")) for record in running), default="")
    return bool(born) and any((clock.rfc3339(at) or "") > born for at in changed)


def remove(owner: str, agent: str, name: str) -> bool:
    """Forget a secret; says whether there was one."""
    gone = Secret.delete().where(
        (Secret.owner == owner) & (Secret.agent == agent) & (Secret.name == name)
    )
    return bool(gone.execute())


def reveal(owner: str, agent: str) -> dict[str, str]:
    """Values in clear, for the seed of an instance; only root can."""
    key = identity.sealing_key(settings())
    rows = Secret.select().where((Secret.owner == owner) & (Secret.agent == agent))
    return {row.name: identity.unseal(key, bytes(row.sealed)).decode() for row in rows}


def in_clear() -> list[str]:
    """The values of all agents, so that they can be kept out of something."""
    key = identity.sealing_key(settings())
    rows = Secret.select(Secret.sealed)
    return [identity.unseal(key, bytes(row.sealed)).decode() for row in rows]
