"""What happened lately on this node, in sentences, and who changed what."""

from __future__ import annotations

from functools import reduce
from operator import or_

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.database import NodeModel


class Event(NodeModel):
    id = AutoField()
    time = FloatField()
    service = TextField()
    level = TextField()
    subject = TextField()
    text = TextField()


class Audit(NodeModel):
    id = AutoField()
    time = FloatField()
    account = TextField()
    address = TextField()
    action = TextField()
    subject = TextField()
    outcome = TextField()


def happened(
    text: str, *, service: str, subject: str = "", level: str = "info"
) -> None:
    """Add one event; `text` is a sentence that a person reads."""
    Event.create(
        time=clock.now(), service=service, level=level, subject=subject, text=text
    )


def audit(account: str, address: str, action: str, subject: str, outcome: str) -> None:
    """Note a change or a refused attempt; no secret may be in `subject`."""
    Audit.create(
        time=clock.now(),
        account=account,
        address=address,
        action=action,
        subject=subject,
        outcome=outcome,
    )


def audit_rows(
    limit: int, *, account: str = "", text: str = "", before: int | None = None
) -> list[Audit]:
    """The newest first, before an id; `text` is looked for in what was done."""
    query = Audit.select().order_by(Audit.id.desc()).limit(limit)
    if account:
        query = query.where(Audit.account == account)
    if before is not None:
        query = query.where(Audit.id < before)
    if text:
        columns = (Audit.action, Audit.subject, Audit.outcome, Audit.address)
        query = query.where(reduce(or_, (column.contains(text) for column in columns)))
    return list(query)


def refusals(address: str, since: float) -> int:
    """How many attempts of nobody known were refused from an address."""
    rows = Audit.select().where((Audit.address == address) & (Audit.time > since))
    return int(rows.where(Audit.account == "").count())


def lately(limit: int = 20) -> list[Event]:
    """The newest events first."""
    return list(Event.select().order_by(Event.id.desc()).limit(limit))


def trim(keep: int, table: type[Event] | type[Audit] = Event) -> int:
    """Drop all but the newest `keep` rows; says how many went."""
    oldest = table.select(table.id).order_by(table.id.desc()).offset(keep).limit(1)
    first = oldest.scalar()
    if first is None:
        return 0
    return int(table.delete().where(table.id <= first).execute())
