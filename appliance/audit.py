"""The audit log: who changed what, and what was refused, as a chain.

Each row has the hash of the one before it and of itself, so that a row that is changed,
taken out or put in is found. formation-jobs has formation-state sign the chain's ends
from time to time: then its newest rows cannot be cut off unseen either, and the oldest
only by `trim`, which is noted there. A name is in the chain as a salted digest, so that
it can be erased and the chain still holds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.database import NodeModel, keep_newest, node

COLUMNS = ("account", "address", "action", "subject", "outcome")


class Audit(NodeModel):
    """`named` is the digest of the account's name with `salt`."""

    id = AutoField()
    time = FloatField()
    account = TextField()
    address = TextField()
    action = TextField()
    subject = TextField()
    outcome = TextField()
    salt = TextField()
    named = TextField()
    previous = TextField()
    hash = TextField()


def digest(*parts: str) -> str:
    """SHA-256 of texts that cannot run into each other, in hex."""
    return sha256(json.dumps(parts).encode()).hexdigest()


def link(row: Audit) -> str:
    """The hash that a row should have."""
    return digest(
        row.previous,
        repr(row.time),
        row.named,
        row.address,
        row.action,
        row.subject,
        row.outcome,
    )


def note(account: str, address: str, action: str, subject: str, outcome: str) -> None:
    """Note a change or a refused attempt; no secret may be in `subject`."""
    salt = secrets.token_hex(8)
    row = Audit(
        time=clock.now(),
        account=account,
        address=address,
        action=action,
        subject=subject,
        outcome=outcome,
        salt=salt,
        named=digest(salt, account),
    )
    with node.atomic("immediate"):
        row.previous = newest_hash()
        row.hash = link(row)
        row.save(force_insert=True)


def newest_hash() -> str:
    """Of the newest row; empty where there is none."""
    found = Audit.select(Audit.hash).order_by(Audit.id.desc()).limit(1).scalar()
    return str(found or "")


def rows(
    limit: int,
    *,
    account: str = "",
    text: str = "",
    outcome: str = "",
    since: float | None = None,
    until: float | None = None,
    before: int | None = None,
) -> list[Audit]:
    """The newest first, before an id; `text` is looked for in what was done."""
    query = Audit.select().order_by(Audit.id.desc()).limit(limit)
    wishes = (
        (account, Audit.account == account),
        (outcome, Audit.outcome.startswith(outcome)),
        (since is not None, Audit.time >= since),
        (until is not None, Audit.time < until),
        (before is not None, Audit.id < before),
    )
    for is_asked, condition in wishes:
        if is_asked:
            query = query.where(condition)
    if text:
        columns = (Audit.action, Audit.subject, Audit.outcome, Audit.address)
        query = query.where(reduce(or_, (column.contains(text) for column in columns)))
    return list(query)


def count() -> int:
    return int(Audit.select().count())


def refusals(address: str, since: float) -> int:
    """How many attempts of nobody known were refused from an address."""
    found = Audit.select().where((Audit.address == address) & (Audit.time > since))
    return int(found.where(Audit.account == "").count())


def is_noted(address: str, action: str, since: float) -> bool:
    """Whether this was noted from there already."""
    found = Audit.select().where((Audit.address == address) & (Audit.time > since))
    return bool(found.where(Audit.action == action).exists())


def erase(account: str) -> int:
    """Forget a name; what was done stays, the chain holds. Says in how many rows."""
    gone = Audit.update(account="", salt="").where(Audit.account == account)
    return int(gone.execute())


def trim(keep: int) -> int:
    """Drop all but the newest `keep` rows; says how many went."""
    return keep_newest(Audit, keep)


def ends() -> dict[str, Any]:
    """What formation-state signs: the ends of the chain. Empty where it is."""
    with node.atomic():
        chained = Audit.select().where(Audit.hash != "")
        first = chained.order_by(Audit.id).first()
        last = chained.order_by(Audit.id.desc()).first()
    if first is None or last is None:
        return {}
    return {
        "first": first.id,
        "previous": first.previous,
        "last": last.id,
        "hash": last.hash,
    }


def verify(signed: Mapping[str, Any]) -> list[str]:
    """What is wrong with the chain in sentences, the oldest first; `signed` are its
    ends as they were signed last, or empty."""
    with node.atomic():
        found = Audit.select().where(Audit.hash != "").order_by(Audit.id).iterator()
        return list(faults(found, signed))


def faults(chain: Iterable[Audit], signed: Mapping[str, Any]) -> Iterator[str]:
    """As `verify`, over rows in their order. Pure."""
    before, seen_end = None, not signed
    for row in chain:
        if before is None and signed and row.id > signed["first"]:
            began = signed["first"]
            yield f"The rows from {began} to {row.id - 1} are gone."
        if before is not None and row.previous != before.hash:
            yield f"Row {row.id} does not follow row {before.id}: one is gone or new."
        if row.salt and row.named != digest(row.salt, row.account):
            yield f"The account of row {row.id} was changed."
        if row.hash != link(row):
            yield f"Row {row.id} was changed."
        if signed and row.id == signed["last"]:
            seen_end = True
            if row.hash != signed["hash"]:
                yield f"Row {row.id} is not the one that was signed."
        before = row
    if not seen_end:
        yield f"The rows up to {signed['last']}, which was signed, are gone."
