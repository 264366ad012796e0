"""Whose agent a task is for: its account's id, which lasts, and today's names.

A name may change, and that of a deleted account may be given to somebody else, so
tasks keep the id. Where neither account nor agent is left, it stands for itself.
"""

from __future__ import annotations

from appliance import state
from appliance.problems import EngineGone


def agent_of(owner: str, name: str) -> str:
    """The full name of an account's agent; by the account's id while the records
    cannot be read, since no task may stay without an end for that."""
    try:
        found = state.select("agent", owner=owner, name=name)
        return found[0].id if found else f"{name_of(owner)}/{name}"
    except EngineGone:
        return f"{owner}/{name}"


def name_of(owner: str) -> str:
    """The name of the account of this id; of one that is gone, as its agents say."""
    account = state.find("account", owner)
    if account is not None:
        return str(account.body["name"])
    left = state.select("agent", owner=owner)
    return str(left[0].body["owner_name"]) if left else owner


def account_of(name: str) -> str | None:
    """The id of the account of this name; of one that is gone, as its agents say."""
    named = state.select("account", name=name)
    if named:
        return named[0].id
    left = state.select("agent", owner_name=name)
    return str(left[0].body["owner"]) if left else None
