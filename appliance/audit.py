"""The audit log: who changed what, and what was refused, as a chain.

Each row has the hash of the one before it and of itself, so that a row that is changed,
taken out or put in is found. formation-jobs has formation-state sign the chain's ends
from time to time: then its newest rows cannot be cut off unseen either, and the oldest
only by `trim`, which is noted there. Who it was, from where and on what stand in the
chain as salted digests, so that a person can be erased and the chain still holds.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any

from peewee import AutoField, FloatField, TextField, chunked

from appliance import clock
from appliance.database import NodeModel, keep_newest, node

COLUMNS = ("account", "address", "action", "subject", "outcome")


class Audit(NodeModel):
    """`named` and `placed` are the digests of the account's name and the address with
    `salt`, `about` that of the subject with `veil`; older rows have `named` alone."""

    id = AutoField()
    time = FloatField()
    account = TextField()
    address = TextField()
    action = TextField()
    subject = TextField()
    outcome = TextField()
    salt = TextField()
    named = TextField()
    placed = TextField(default="")
    about = TextField(default="")
    veil = TextField(default="")
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
        row.placed or row.address,
        row.action,
        row.about or row.subject,
        row.outcome,
    )


def note(account: str, address: str, action: str, subject: str, outcome: str) -> None:
    """Note a change or a refused attempt; no secret may be in `subject`."""
    salt, veil = secrets.token_hex(16), secrets.token_hex(16)
    row = Audit(
        time=clock.now(),
        account=account,
        address=address,
        action=action,
        subject=subject,
        outcome=outcome,
        salt=salt,
        named=digest(salt, account),
        placed=digest(salt, address),
        about=digest(veil, subject),
        veil=veil,
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


def erase(
    *names: str,
    addresses: Iterable[str] = (),
    mentions: Callable[[str], bool] = "".__eq__,
) -> int:
    """Forget a person, known by these names: who and from where, and the subjects that
    mention it; of rows of nobody known, the addresses. What was done stays, the chain
    holds. Says in how many rows. Rows of before there were digests of addresses and
    subjects keep those.
    """
    nobody = (Audit.account == "") & Audit.address.in_(list(addresses))
    person = {"account": "", "salt": ""}
    theirs = Audit.account.in_(names) | nobody
    with node.atomic("immediate"):
        gone = int(
            Audit.update(**person).where(theirs & (Audit.placed == "")).execute()
        )
        covered = theirs & (Audit.placed != "")
        gone += int(Audit.update(**person, address="").where(covered).execute())
        texts = Audit.select(Audit.id, Audit.subject).where(Audit.about != "")
        told = [row.id for row in texts if row.subject and mentions(row.subject)]
        for some in chunked(told, 500):
            Audit.update(subject="", veil="").where(Audit.id.in_(some)).execute()
    return gone


def addresses_of(*names: str) -> set[str]:
    """From where the account that goes by these names did something."""
    rows = Audit.select(Audit.address).where(Audit.account.in_(names)).distinct()
    return {str(row.address) for row in rows}


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
        if row.salt and row.placed and row.placed != digest(row.salt, row.address):
            yield f"The address of row {row.id} was changed."
        if row.veil and row.about != digest(row.veil, row.subject):
            yield f"The subject of row {row.id} was changed."
        if not row.salt and (row.account or (row.placed and row.address)):
            yield f"Row {row.id}, of which the person was erased, has one again."
        if row.about and not row.veil and row.subject:
            yield f"Row {row.id}, of which the subject was erased, has one again."
        if row.hash != link(row):
            yield f"Row {row.id} was changed."
        if signed and row.id == signed["last"]:
            seen_end = True
            if row.hash != signed["hash"]:
                yield f"Row {row.id} is not the one that was signed."
        before = row
    if not seen_end:
        yield f"The rows up to {signed['last']}, which was signed, are gone."
