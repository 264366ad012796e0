"""Accounts of this node: passwords (argon2id), sessions, tokens, throttling."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from peewee import AutoField, FloatField, TextField

from appliance import clock, state
from appliance.config import settings
from appliance.database import NodeModel
from appliance.problems import Invalid, Problem

SHORTEST = 10
WINDOW_S = 600.0
COMMON = frozenset(
    [
        "password",
        "password1",
        "password12",
        "password123",
        "password1234",
        "1234567890",
        "12345678910",
        "0123456789",
        "qwertyuiop",
        "qwerty12345",
        "iloveyou123",
        "letmein1234",
        "administrator",
        "adminadmin",
        "welcome123",
        "changeme123",
        "formation1",
        "formation123",
        "1q2w3e4r5t",
        "passw0rd123",
        "aaaaaaaaaa",
        "abcdefghij",
        "1111111111",
        "0000000000",
        "superman123",
    ]
)


@dataclass(frozen=True)
class Account:
    id: str
    name: str
    roles: tuple[str, ...]


class Credential(NodeModel):
    account = TextField(primary_key=True)
    name = TextField(unique=True)
    password_hash = TextField()
    roles = TextField()
    created = FloatField()


class Session(NodeModel):
    token_hash = TextField(primary_key=True)
    account = TextField()
    csrf = TextField()
    created = FloatField()
    expires = FloatField()
    seen = FloatField()
    address = TextField()
    agent = TextField()


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


class Attempt(NodeModel):
    id = AutoField()
    what = TextField()
    address = TextField()
    time = FloatField()


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()


def hash_password(password: str, name: str = "") -> str:
    """The argon2id hash; refuses what is short, common or the account's name."""
    if len(password) < SHORTEST:
        raise Invalid(
            f"The password has {len(password)} characters; at least {SHORTEST}.",
            password=f"At least {SHORTEST} characters.",
        )
    if password.lower() in COMMON or (name and name.lower() in password.lower()):
        raise Invalid(
            "That password is among the first that are tried; take another.",
            password="Too easily guessed.",
        )
    return _hasher().hash(password)


def create(name: str, password_hash: str, roles: tuple[str, ...]) -> Account:
    """A new account; its public part becomes a record."""
    account = Account(clock.new_id(), name, roles)
    Credential.create(
        account=account.id,
        name=name,
        password_hash=password_hash,
        roles=json.dumps(roles),
        created=clock.now(),
    )
    state.put("account", account.id, {"name": name, "roles": list(roles)})
    return account


def find(account: str) -> Account | None:
    row = Credential.get_or_none(Credential.account == account)
    return Account(row.account, row.name, tuple(json.loads(row.roles))) if row else None


def operator() -> Account | None:
    """The node's first operator, whom the CLI socket acts as."""
    for row in Credential.select().order_by(Credential.created):
        if "operator" in json.loads(row.roles):
            return Account(row.account, row.name, tuple(json.loads(row.roles)))
    return None


def log_in(name: str, password: str, address: str) -> Account:
    """The account, or Problem; failures are counted by address."""
    throttle("login", address)
    row = Credential.get_or_none(Credential.name == name.strip().lower())
    known = row.password_hash if row else _decoy()
    try:
        _hasher().verify(known, password)
    except (VerificationError, InvalidHashError):
        row = None
    if row is None:
        failed("login", address)
        raise Problem(
            "login-failed",
            "Name or password is wrong.",
            status=401,
            title="Not logged in",
        )
    return Account(row.account, row.name, tuple(json.loads(row.roles)))


@cache
def _decoy() -> str:
    return _hasher().hash(secrets.token_hex())


def throttle(what: str, address: str) -> None:
    """Raise when this address failed too often lately."""
    recent = (Attempt.what == what) & (Attempt.address == address)
    since = clock.now() - WINDOW_S
    count = Attempt.select().where(recent & (Attempt.time > since)).count()
    if count >= settings().auth.attempts:
        raise Problem(
            "too-many-attempts",
            "Too many failed attempts from here; wait ten minutes.",
            status=429,
            retry_after=int(WINDOW_S),
        )


def failed(what: str, address: str) -> None:
    Attempt.delete().where(Attempt.time < clock.now() - WINDOW_S).execute()
    Attempt.create(what=what, address=address, time=clock.now())


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def open_session(account: Account, address: str, agent: str) -> str:
    """A new session's token, for the cookie."""
    token, now = secrets.token_urlsafe(32), clock.now()
    Session.create(
        token_hash=_digest(token),
        account=account.id,
        csrf=secrets.token_urlsafe(24),
        created=now,
        expires=now + settings().auth.session_hours * 3600,
        seen=now,
        address=address,
        agent=agent[:200],
    )
    return token


def session(token: str) -> Session | None:
    row = Session.get_or_none(Session.token_hash == _digest(token))
    return row if row and row.expires > clock.now() else None


def close_session(token: str) -> None:
    Session.delete().where(Session.token_hash == _digest(token)).execute()


def new_token(account: Account, name: str, days: int | None = None) -> str:
    """An API token, shown this once; only its hash is kept."""
    token, now = f"form_{secrets.token_urlsafe(32)}", clock.now()
    ApiToken.create(
        id=clock.new_id(),
        account=account.id,
        name=name[:80],
        token_hash=_digest(token),
        scopes="[]",
        created=now,
        expires=now + days * 86400 if days else None,
    )
    return token


def by_token(token: str) -> Account | None:
    row = ApiToken.get_or_none(ApiToken.token_hash == _digest(token))
    if row is None or (row.expires and row.expires < clock.now()):
        return None
    return find(row.account)
