"""The way back in from the node's own console, for who forgot everything."""

from __future__ import annotations

from appliance import audit, database
from appliance.admin import accounts, invitations, second_factor, throttle
from appliance.problems import Conflict, NotFound


def reset(name: str, password: str = "") -> str:
    """Take password and second factor away, end the sessions, forget failed log-ins.

    Sets the password, or returns the token of a link that does. Needs nothing but
    node.db, so that it works while the node's processes are down.
    """
    if not accounts.exists(name):
        known = ", ".join(row.name for row in accounts.everyone()) or "none yet"
        raise NotFound(
            "account-unknown",
            f"There is no account {name[:64]!r}; the node's accounts: {known}.",
        )
    row = accounts.credential(name)
    if row.disabled:
        raise Conflict(
            "account-disabled",
            f"{name} is disabled and could not log in; form account enable it first.",
        )
    account = row.account
    with database.node.atomic("immediate"):
        second_factor.turn_off(account)
        throttle.release(name, account)
        token = invitations.create(name)
        if password:
            invitations.accept(token, password)
        audit.note("", "console", "form account reset", name, "done")
    return "" if password else token
