"""Who may do what: roles, scopes of tokens, who owns a thing, what was shared.

An operator does everything. A developer sees and changes what is its own, and agents
that were shared with it as far as that goes. A user calls agents that were shared with
it. An auditor sees everything and changes nothing.

`of` is what a right is on: an agent by its full name, or by an account's name all that
is this account's and of no single agent.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance import audit, shares
from appliance.admin.accounts import Account, find
from appliance.problems import Problem

GRANTS = {
    "operator": {"operator", "developer", "user", "auditor", "account"},
    "developer": {"developer", "user", "account"},
    "user": {"user", "account"},
    "auditor": {"auditor", "account"},
}
SCOPES = {
    "read": "See what you may see.",
    "tasks": "Call agents and follow the tasks.",
    "deploy": "Deploy, stop and delete agents, set their secrets; see the same.",
    "admin": "Everything that you may do, accounts and tokens included.",
}
ALL_SCOPES = frozenset(SCOPES)
INCLUDES = {
    "read": frozenset({"read"}),
    "tasks": frozenset({"tasks"}),
    "deploy": frozenset({"deploy", "read"}),
    "admin": ALL_SCOPES,
}


def may(account: Account, role: str) -> bool:
    """Whether one of the account's roles grants `role`."""
    return any(role in GRANTS.get(own, ()) for own in account.roles)


def may_see(account: Account, of: str | None) -> bool:
    """Whether instances, logs and operations of it are for this account to see."""
    return may(account, "auditor") or _holds(account, "view", of)


def may_change(account: Account, of: str | None) -> bool:
    """Whether this account may deploy it, stop it, set its secrets."""
    held = may(account, "developer") and _holds(account, "manage", of)
    return held or may(account, "operator")


def may_know(account: Account, agent: str) -> bool:
    """Whether the agent is in the catalogue that this account sees."""
    return may(account, "auditor") or _holds(account, "call", agent)


def may_call(account: Account, agent: str) -> bool:
    """Whether this account may give the agent tasks."""
    held = may(account, "user") and _holds(account, "call", agent)
    return held or may(account, "operator")


def may_follow(account: Account, agent: str) -> bool:
    """Whether this account may read what others gave the agent to do."""
    return may(account, "auditor") or _holds(account, "manage", agent)


def _holds(account: Account, right: str, of: str | None) -> bool:
    """Whether it is the account's own, or shared with it with this right or more."""
    if of is None:
        return False
    if of.partition("/")[0] == account.name:
        return True
    held = dict(account.shares).get(of)
    return held is not None and shares.RANKS[held] >= shares.RANKS[right]


def authorise(account_id: str, role: str, of: str | None) -> None:
    """Raise unless the account may still do on this what needs `role`.

    formation-jobs asks before each step of an operation.
    """
    account = find(account_id)
    if account is None:
        why = "the account that asked for it is gone or disabled"
    elif not may(account, role):
        why = f"{account.name} has no longer the role {role}"
    elif of is not None and not may_change(account, of):
        why = f"{account.name} may not change what is {of.partition('/')[0]}'s"
    else:
        return
    audit.note(
        account.name if account else account_id, "local", "operation", why, "refused"
    )
    raise Problem("not-allowed", f"Not done: {why}.", status=403)


def scope_of(method: str, role: str) -> str:
    """The scope that a token needs for a request to what needs `role`."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return "read"
    if role == "user":
        return "tasks"
    return "deploy" if role == "developer" else "admin"


def widened(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes with those that they include."""
    return frozenset().union(*(INCLUDES.get(scope, ()) for scope in scopes))
