"""Who may do what: roles, scopes of tokens, and who owns a thing.

An operator does everything. A developer sees the catalogue, and sees and changes
what is its own. An auditor sees everything and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance import audit
from appliance.admin.accounts import Account, find
from appliance.problems import Problem

GRANTS = {
    "operator": {"operator", "developer", "auditor", "account"},
    "developer": {"developer", "account"},
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


def may_see(account: Account, owner: str | None) -> bool:
    """Whether what the account named `owner` owns is for this one to see."""
    return owner == account.name or may(account, "auditor")


def may_change(account: Account, owner: str | None) -> bool:
    """Whether this account may change what `owner` owns."""
    own = owner == account.name and may(account, "developer")
    return own or may(account, "operator")


def authorise(account_id: str, role: str, owner: str | None) -> None:
    """Raise unless the account may still do on what `owner` owns what needs `role`.

    formation-jobs asks before each step of an operation.
    """
    account = find(account_id)
    if account is None:
        why = "the account that asked for it is gone or disabled"
    elif not may(account, role):
        why = f"{account.name} has no longer the role {role}"
    elif owner is not None and not may_change(account, owner):
        why = f"{account.name} may not change what {owner} owns"
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
    return "deploy" if role == "developer" else "admin"


def widened(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes with those that they include."""
    return frozenset().union(*(INCLUDES.get(scope, ()) for scope in scopes))
