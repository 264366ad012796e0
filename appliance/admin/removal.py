"""Removing an account: what goes with it, and what it leaves behind."""

from __future__ import annotations

from appliance import database, shares, state
from appliance.admin import accounts, second_factor, sessions, throttle, tokens
from appliance.admin.accounts import Credential


def delete(name: str) -> None:
    """The account, its sessions and tokens go; its agents stay."""
    row = accounts.credential(name)
    with database.node.atomic("immediate"):
        accounts.must_leave_an_operator(row)
        sessions.end_all(row.account)
        tokens.revoke_all(row.account)
        second_factor.turn_off(row.account)
        throttle.forget(name)
        shares.forget_account(row.account)
        Credential.delete().where(Credential.account == row.account).execute()
        state.remove("account", row.account)


def left_behind(name: str) -> dict[str, int]:
    """What goes on when the account is deleted: counts of agents and instances."""
    return {
        kind: len(state.select(kind, owner_name=name)) for kind in ("agent", "instance")
    }
