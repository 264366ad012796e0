"""API tokens: shown once, kept as hashes, with scopes and an end.

A token never has more than its owner, nor than its scopes; and what is made with a
token has at most its scopes and ends no later.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from peewee import FloatField, TextField

from appliance import clock, database
from appliance.admin import accounts, rights
from appliance.admin.sessions import digest
from appliance.database import NodeModel, jot
from appliance.problems import Invalid, NotFound, Problem

USED_S = 60.0  # `used` is written at most this often
DAYS = 365


class ApiToken(NodeModel):
    id = TextField(primary_key=True)
    account = TextField()
    name = TextField()
    token_hash = TextField(unique=True)
    scopes = TextField()
    created = FloatField()
    expires = FloatField(null=True)
    used = FloatField(null=True)

    class Meta:
        table_name = "api_token"


@dataclass(frozen=True)
class Bearer:
    """What a token stands for: its account, what it may, and until when."""

    account: accounts.Account
    scopes: frozenset[str]
    expires: float | None


def create(
    account: accounts.Account,
    name: str,
    scopes: Iterable[str],
    days: int | None = None,
    maker: Bearer | None = None,
) -> tuple[str, ApiToken]:
    """A new token and its row; `maker` is the token that asks for it, if any."""
    wanted = sorted(set(scopes))
    _must_be_valid(name, wanted, days)
    now = clock.now()
    expires = now + days * 86400 if days else None
    if maker is not None:
        _must_not_be_more(maker, wanted, expires)
    token = f"form_{secrets.token_urlsafe(32)}"
    row = ApiToken.create(
        id=clock.new_id(),
        account=account.id,
        name=name.strip(),
        token_hash=digest(token),
        scopes=json.dumps(wanted),
        created=now,
        expires=expires,
    )
    return token, row


def _must_be_valid(name: str, scopes: list[str], days: int | None) -> None:
    wrong = {}
    if not 1 <= len(name.strip()) <= 80:
        wrong["name"] = "Say in 1 to 80 characters what it is for."
    if not scopes or set(scopes) - rights.ALL_SCOPES:
        wrong["scopes"] = f"One or more of {', '.join(rights.SCOPES)}."
    if days is not None and not 1 <= days <= DAYS * 10:
        wrong["days"] = f"1 to {DAYS * 10} days, or none."
    if wrong:
        said = "; ".join(f"{key}: {text}" for key, text in wrong.items())
        raise Invalid(f"No token was made. {said}", **wrong)


def _must_not_be_more(maker: Bearer, scopes: list[str], expires: float | None) -> None:
    if rights.widened(scopes) - maker.scopes:
        raise Problem(
            "not-allowed", "A token makes no token that may do more.", status=403
        )
    if maker.expires and (expires is None or expires > maker.expires):
        raise Problem(
            "not-allowed",
            f"A token makes no token that ends after itself: before "
            f"{clock.rfc3339(maker.expires)}.",
            status=403,
        )


def find(token: str) -> Bearer | None:
    """Who sent this token; that it was used is noted once a minute."""
    row, now = database.row(ApiToken, "token_hash", digest(token)), clock.now()
    if row is None or (row.expires and row.expires < now):
        return None
    account = accounts.find(row.account)
    if account is None:
        return None
    if not row.used or row.used < now - USED_S:
        jot(ApiToken.update(used=now).where(ApiToken.id == row.id))
    return Bearer(account, rights.widened(json.loads(row.scopes)), row.expires)


def of(account: str) -> list[ApiToken]:
    """The account's tokens, newest first."""
    rows = ApiToken.select().where(ApiToken.account == account)
    return list(rows.order_by(ApiToken.id.desc()))


def revoke(account: str, id_: str) -> None:
    """End one of the account's tokens; raises NotFound."""
    gone = ApiToken.delete().where((ApiToken.account == account) & (ApiToken.id == id_))
    if not gone.execute():
        raise NotFound("token-unknown", f"There is no such token: {id_[:26]}.")


def revoke_all(account: str) -> int:
    return int(ApiToken.delete().where(ApiToken.account == account).execute())


def as_document(row: ApiToken) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": json.loads(row.scopes),
        "created": clock.rfc3339(row.created),
        "expires": clock.rfc3339(row.expires),
        "used": clock.rfc3339(row.used),
    }
