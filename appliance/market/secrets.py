"""Secrets of agents: sealed to this node as they come in, opened at boot only."""

from __future__ import annotations

import re

from peewee import BlobField, CompositeKey, FloatField, TextField

from appliance import clock, identity
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


def names(owner: str, agent: str) -> list[str]:
    """Which secrets are set; never their values."""
    rows = Secret.select(Secret.name).where(
        (Secret.owner == owner) & (Secret.agent == agent)
    )
    return sorted(row.name for row in rows)


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
