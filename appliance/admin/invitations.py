"""Links that set an account's password: for a new account, or one that forgot.

A link works while its account has no password: making one takes the password away,
and setting one makes the link worthless.
"""

from __future__ import annotations

import secrets

from peewee import FloatField, TextField

from appliance import clock
from appliance.admin import accounts
from appliance.admin.sessions import digest
from appliance.database import NodeModel
from appliance.problems import NotFound

HOURS = 24


class Invitation(NodeModel):
    token_hash = TextField(primary_key=True)
    account = TextField()
    expires = FloatField()


def create(name: str) -> str:
    """Take the account's password away; the link's token, shown this once."""
    row, token, now = accounts.credential(name), secrets.token_urlsafe(32), clock.now()
    accounts.take_password(name)
    Invitation.delete().where(
        (Invitation.account == row.account) | (Invitation.expires < now)
    ).execute()
    Invitation.create(
        token_hash=digest(token), account=row.account, expires=now + HOURS * 3600
    )
    return token


def find(token: str) -> accounts.Account:
    """Whose link this is; raises NotFound when it was used, or is too old."""
    row = Invitation.get_or_none(Invitation.token_hash == digest(token))
    account = accounts.find(row.account) if row and row.expires > clock.now() else None
    if account is None or accounts.credential(account.name).password_hash:
        raise NotFound(
            "link-unknown",
            f"This link was used already, or is older than {HOURS} hours. Ask an "
            "operator for another.",
        )
    return account


def accept(token: str, password: str) -> accounts.Account:
    """Set the password of the link's account."""
    account = find(token)
    accounts.set_password(account.name, password)
    Invitation.delete().where(Invitation.account == account.id).execute()
    return account


def of(account: str) -> list[dict[str, str | None]]:
    """Links that are open for the account of this id, without the links."""
    rows = Invitation.select().where(Invitation.account == account)
    return [{"expires": clock.rfc3339(row.expires)} for row in rows]


def forget(account: str) -> None:
    Invitation.delete().where(Invitation.account == account).execute()
