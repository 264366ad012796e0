"""Who changed the settings, when and why; the file before and after is kept.

The newest `KEPT` changes. What somebody changed with an editor is noted too, at the
next change from here.
"""

from __future__ import annotations

from typing import Any

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.admin.configuration import changes, difference
from appliance.database import NodeModel, keep_newest, node
from appliance.problems import NotFound

KEPT = 100
BY_HAND = "by hand, in the file"


class SettingChange(NodeModel):
    id = AutoField()
    time = FloatField()
    account = TextField()
    why = TextField()
    operation = TextField()
    before = TextField()
    after = TextField()

    class Meta:
        table_name = "setting_change"


def note(account: str, why: str, operation: str, before: str, after: str) -> None:
    """Keep a change; the same operation's is kept once."""
    with node.atomic("immediate"):
        if SettingChange.get_or_none(SettingChange.operation == operation):
            return
        last = newest(1)
        if last and last[0].after != before:
            _add("", BY_HAND, "", last[0].after, before)
        _add(account, why, operation, before, after)
        keep_newest(SettingChange, KEPT)


def _add(account: str, why: str, operation: str, before: str, after: str) -> None:
    SettingChange.create(
        time=clock.now(),
        account=account,
        why=why,
        operation=operation,
        before=before,
        after=after,
    )


def newest(limit: int = KEPT) -> list[SettingChange]:
    rows = SettingChange.select().order_by(SettingChange.id.desc()).limit(limit)
    return list(rows)


def find(id_: str) -> SettingChange:
    row = SettingChange.get_or_none(SettingChange.id == id_)
    if row is None:
        raise NotFound(
            "change-unknown",
            f"There is no change {id_[:20]!r} in the history of the settings, which "
            f"keeps the last {KEPT}.",
        )
    return row


def as_document(row: SettingChange) -> dict[str, Any]:
    return {
        "id": row.id,
        "time": clock.rfc3339(row.time),
        "account": row.account,
        "why": row.why,
        "changed": [str(change) for change in changes(row.before, row.after)],
        "diff": difference(row.before, row.after),
    }
