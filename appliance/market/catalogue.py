"""Which agent is meant, and which of its instances takes the next task."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection

from appliance import dns, state
from appliance.config import settings
from appliance.problems import NotFound, Problem, Unavailable

_turn = itertools.count()


def everyone_knows(agent: str) -> bool:
    return True


def find_agent(
    name: str,
    owner: str | None = None,
    is_known: Callable[[str], bool] = everyone_knows,
) -> state.Record:
    """The agent by full or short name; raises agent-unknown. What `is_known` does not
    say of a full name might as well not be there.

    A short name is a claim: it leads to the agent that holds NAME.ZONE, else to
    the only one of that name.
    """
    if owner is not None:
        found = state.find("agent", f"{owner}/{name}")
        if found is None or not is_known(found.id):
            raise NotFound("agent-unknown", f"There is no agent {owner}/{name}.")
        return found
    claim = state.find("domain", f"{name}.{dns.apex(settings())}")
    holder = state.find("agent", claim.body["agent"]) if claim else None
    if holder is not None and is_known(holder.id):
        return holder
    namesakes = [r for r in state.select("agent", name=name) if is_known(r.id)]
    if len(namesakes) == 1:
        return namesakes[0]
    if namesakes:
        known = ", ".join(record.id for record in namesakes)
        text = f"Several agents are called {name}; use a full name: {known}."
        raise NotFound("agent-unknown", text)
    raise NotFound("agent-unknown", f"There is no agent {name}.")


def instances(agent: str) -> list[state.Record]:
    """The healthy ones."""
    return state.select("instance", agent=agent, state="healthy")


def pick(agent: str, lost: Collection[str] = ()) -> state.Record:
    """The next healthy instance that is not `lost`, in turn; raises
    agent-unavailable."""
    others = [record for record in instances(agent) if record.id not in lost]
    if others:
        return others[next(_turn) % len(others)]
    raise unavailable(agent)


def unavailable(agent: str) -> Problem:
    """Why no instance can take a task now."""
    known = state.select("instance", agent=agent)
    why = "; ".join(
        f"{r.body['state']} {r.body.get('reason') or ''}".strip() for r in known
    )
    return Unavailable(
        "agent-unavailable",
        f"{agent} has no healthy instance ({why or 'none is deployed'}).",
    )
