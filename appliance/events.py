"""What happened lately on this node, in sentences."""

from __future__ import annotations

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.database import NodeModel, keep_newest


class Event(NodeModel):
    id = AutoField()
    time = FloatField()
    service = TextField()
    level = TextField()
    subject = TextField()
    text = TextField()


def happened(
    text: str, *, service: str, subject: str = "", level: str = "info"
) -> None:
    """Add one event; `text` is a sentence that a person reads."""
    Event.create(
        time=clock.now(), service=service, level=level, subject=subject, text=text
    )


def lately(limit: int = 20) -> list[Event]:
    """The newest events first."""
    return list(Event.select().order_by(Event.id.desc()).limit(limit))


def trim(keep: int) -> int:
    """Drop all but the newest `keep` events; says how many went."""
    return keep_newest(Event, keep)
