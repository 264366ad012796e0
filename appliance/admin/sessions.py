"""Sessions of browsers: rows of node.db, known by a token in a cookie.

A session ends at its age, when it was idle too long, at log-out, and when its
account's password or rights are taken away. Only the token's hash is kept.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256

from peewee import FloatField, TextField

from appliance import clock
from appliance.config import settings
from appliance.database import NodeModel, jot
from appliance.problems import NotFound

SEEN_S = 60.0  # `seen` is written at most this often
ID = 16  # characters of the hash that name a session


class Session(NodeModel):
    token_hash = TextField(primary_key=True)
    account = TextField()
    csrf = TextField()
    created = FloatField()
    expires = FloatField()
    seen = FloatField()
    address = TextField()
    agent = TextField()
    proved = FloatField(default=0.0)

    @property
    def id(self) -> str:
        return str(self.token_hash)[:ID]


@dataclass(frozen=True)
class Browser:
    """A session as its account sees it."""

    id: str
    browser: str
    address: str
    created: float
    seen: float
    is_this: bool


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def begin(account: str, address: str, agent: str) -> str:
    """A new session's token, for the cookie; what has ended is swept away."""
    token, now = secrets.token_urlsafe(32), clock.now()
    Session.delete().where(
        (Session.expires < now) | (Session.seen < now - _idle_s())
    ).execute()
    Session.create(
        token_hash=digest(token),
        account=account,
        csrf=secrets.token_urlsafe(24),
        created=now,
        expires=now + settings().auth.session_hours * 3600,
        seen=now,
        address=address,
        agent=agent[:200],
        proved=now,
    )
    return token


def find(token: str, address: str = "") -> Session | None:
    """The live session of a token; that it was used is noted once a minute."""
    row, now = Session.get_or_none(Session.token_hash == digest(token)), clock.now()
    if row is None or row.expires < now or row.seen < now - _idle_s():
        return None
    if row.seen < now - SEEN_S:
        mine = Session.token_hash == row.token_hash
        jot(Session.update(seen=now, address=address or row.address).where(mine))
    return row


def _idle_s() -> float:
    return settings().auth.idle_hours * 3600.0


def prove(session: Session) -> None:
    """Note that who uses the session proved just now who that is."""
    mine = Session.token_hash == session.token_hash
    Session.update(proved=clock.now()).where(mine).execute()


def end(token: str) -> None:
    Session.delete().where(Session.token_hash == digest(token)).execute()


def end_one(account: str, id_: str) -> None:
    """End the account's session of this id; raises NotFound."""
    gone = Session.delete().where(
        (Session.account == account) & Session.token_hash.startswith(id_)
    )
    if len(id_) != ID or not gone.execute():
        raise NotFound("session-unknown", f"You have no session {id_[:ID]}.")


def end_all(account: str, but: str = "") -> int:
    """End the account's sessions, save the one of the token `but`."""
    gone = Session.delete().where(
        (Session.account == account) & (Session.token_hash != digest(but))
    )
    return int(gone.execute())


def of(account: str, token: str = "") -> list[Browser]:
    """The account's live sessions, the last used first."""
    now, this = clock.now(), digest(token)
    rows = Session.select().where(
        (Session.account == account)
        & (Session.expires > now)
        & (Session.seen > now - _idle_s())
    )
    return [
        Browser(
            row.id,
            browser(row.agent),
            row.address,
            row.created,
            row.seen,
            secrets.compare_digest(row.token_hash, this),
        )
        for row in rows.order_by(Session.seen.desc())
    ]


def browser(agent: str) -> str:
    """`Firefox on Linux`, as far as a User-Agent tells."""
    names = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    name = next((name for name in names if name in agent), "")
    system = next((system for system in systems if system in agent), "")
    known = {"Edg": "Edge", "OPR": "Opera"}.get(name, name)
    return " on ".join(part for part in (known, system) if part) or "Unknown browser"
