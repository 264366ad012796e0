"""Accounts of this node: who they are, their roles, their passwords.

The credentials stay in node.db; the public part of an account is a record. The last
operator that is not disabled stays one. A name whose owner left agents behind is
not given out again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peewee import FloatField, TextField

from appliance import clock, database, shares, state
from appliance.admin import passwords, second_factor, sessions, throttle
from appliance.admin.passwords import hash_password as hash_password
from appliance.database import NodeModel
from appliance.problems import Conflict, Invalid, NotFound, Problem

ROLES = ("operator", "developer", "user", "auditor")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Account:
    """`shares` are pairs (agent, right) of the agents that were shared with it."""

    id: str
    name: str
    roles: tuple[str, ...]
    shares: tuple[tuple[str, str], ...] = ()


class Credential(NodeModel):
    """An empty hash: no password is set yet. `disabled` is since when."""

    account = TextField(primary_key=True)
    name = TextField(unique=True)
    password_hash = TextField()
    roles = TextField()
    created = FloatField()
    disabled = FloatField(null=True)


def _account(row: Credential) -> Account:
    roles = tuple(json.loads(row.roles))
    return Account(row.account, row.name, roles, shares.of(row.account))


def create(name: str, password_hash: str, roles: Iterable[str]) -> Account:
    """A new account; its public part becomes a record."""
    name, roles = name.strip().lower(), checked_roles(roles)
    if not LABEL.fullmatch(name):
        raise Invalid(
            "The name becomes part of DNS names: a-z, 0-9 and - only.",
            name="a-z, 0-9 and - only.",
        )
    if exists(name) or name == shares.EVERYONE:
        raise Conflict("name-taken", f"There is an account {name} already.")
    if state.select("agent", owner_name=name):
        raise Conflict(
            "name-taken",
            f"An account {name} was deleted here and its agents go on; take another "
            "name, or delete them first.",
        )
    account = Account(clock.new_id(), name, roles)
    with database.node.atomic("immediate"):
        Credential.create(
            account=account.id,
            name=name,
            password_hash=password_hash,
            roles=json.dumps(roles),
            created=clock.now(),
        )
        _publish(account)
    return account


def _publish(account: Account) -> None:
    state.put(
        "account", account.id, {"name": account.name, "roles": list(account.roles)}
    )


def checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """The roles in their order; raises Invalid."""
    wanted = set(roles)
    if not wanted or wanted - set(ROLES):
        raise Invalid(
            f"Roles are {', '.join(ROLES)}; one or more.", roles="Choose one or more."
        )
    return tuple(role for role in ROLES if role in wanted)


def everyone() -> list[Credential]:
    return list(Credential.select().order_by(Credential.name))


def exists(name: str) -> bool:
    return Credential.get_or_none(Credential.name == name) is not None


def credential(name: str) -> Credential:
    """The row of the account of this name; raises NotFound."""
    row = Credential.get_or_none(Credential.name == name)
    if row is None:
        raise NotFound("account-unknown", f"There is no account {name[:64]!r}.")
    return row


def find(account: str) -> Account | None:
    """The account of this id, unless it is gone or disabled."""
    row = database.row(Credential, "account", account)
    return _account(row) if row and not row.disabled else None


def operator() -> Account | None:
    """The node's first operator, whom the CLI socket acts as."""
    rows = Credential.select().where(Credential.disabled.is_null())
    for row in rows.order_by(Credential.created):
        if "operator" in json.loads(row.roles):
            return _account(row)
    return None


def log_in(name: str, password: str, address: str) -> Account:
    """The account, or Problem; failures are counted."""
    name = name.strip().lower()[:64]
    with throttle.attempt("login", address, account=name):
        row = Credential.get_or_none(Credential.name == name)
        fits = passwords.fits(row.password_hash if row else "", password)
        if row is None or not fits or row.disabled:
            raise Problem(
                "login-failed",
                "Name or password is wrong.",
                status=401,
                title="Not logged in",
            )
    throttle.remember(name, address)
    return _account(row)


def change_password(
    account: Account, present: str, new: str, address: str, session: str = ""
) -> None:
    """Replace the own password and end the other sessions; raises Invalid."""
    row = credential(account.name)
    with throttle.attempt("password", address, account=account.name):
        if not passwords.fits(row.password_hash, present):
            raise Invalid(
                "The present password is wrong; nothing was changed.",
                present="That is not your password.",
            )
    _set_password(account.id, passwords.hash_password(new, account.name), session)


def _set_password(account: str, password_hash: str, session: str = "") -> None:
    with database.node.atomic("immediate"):
        Credential.update(password_hash=password_hash).where(
            Credential.account == account
        ).execute()
        sessions.end_all(account, but=session)


def set_password(name: str, password: str) -> None:
    """An operator sets an account's password; its sessions end."""
    row = credential(name)
    _set_password(row.account, passwords.hash_password(password, name))


def take_second_factor(name: str) -> None:
    """For who lost it: the password alone is enough until a new one is set up."""
    row = credential(name)
    if not second_factor.turn_off(row.account):
        raise Conflict("second-factor-off", f"{name} has no second factor.")
    sessions.end_all(row.account)


def take_password(name: str) -> None:
    """Nobody can log in until a new one is set; sessions end."""
    _set_password(credential(name).account, "")


def change_roles(name: str, roles: Iterable[str]) -> None:
    row, wanted = credential(name), checked_roles(roles)
    with database.node.atomic("immediate"):
        if "operator" not in wanted:
            must_leave_an_operator(row)
        Credential.update(roles=json.dumps(wanted)).where(
            Credential.account == row.account
        ).execute()
        _publish(Account(row.account, name, wanted))


def disable(name: str, disabled: bool = True) -> None:
    """Refuse the account's sessions, tokens and operations, or no longer."""
    row = credential(name)
    with database.node.atomic("immediate"):
        if disabled:
            must_leave_an_operator(row)
            sessions.end_all(row.account)
        Credential.update(disabled=clock.now() if disabled else None).where(
            Credential.account == row.account
        ).execute()


def must_leave_an_operator(row: Credential) -> None:
    """Raise Conflict where this account is the last operator."""
    others = Credential.select().where(
        (Credential.account != row.account) & Credential.disabled.is_null()
    )
    if not any("operator" in json.loads(other.roles) for other in others):
        raise Conflict(
            "last-operator",
            f"{row.name} is the last operator of this node; make another one first.",
        )


def as_document(row: Credential) -> dict[str, Any]:
    return {
        "id": row.account,
        "name": row.name,
        "roles": json.loads(row.roles),
        "created": clock.rfc3339(row.created),
        "disabled": clock.rfc3339(row.disabled),
        "has_password": bool(row.password_hash),
        "second_factor": second_factor.is_on(row.account),
    }
