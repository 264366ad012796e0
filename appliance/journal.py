"""The log lines of operations, bounded: the first and the last of each are kept.

Where lines were left out one line says so, in their place.
"""

from __future__ import annotations

from peewee import AutoField, FloatField, TextField

from appliance import clock
from appliance.database import NodeModel, node

HEAD, TAIL, SLACK = 1000, 2000, 500
LONGEST = 1000
LEFT_OUT = "…"


class OperationLog(NodeModel):
    id = AutoField()
    operation = TextField()
    time = FloatField()
    step = TextField()
    line = TextField()

    class Meta:
        table_name = "operation_log"


def add(operation: str, step: str, line: str) -> None:
    OperationLog.create(
        operation=operation, time=clock.now(), step=step, line=line[:LONGEST]
    )


def lines(operation: str, after: int = 0) -> list[tuple[int, float, str, str]]:
    """(id, time, step, line) of the log after a line's id."""
    rows = OperationLog.select().where(
        (OperationLog.operation == operation) & (OperationLog.id > after)
    )
    ordered = rows.order_by(OperationLog.id).limit(HEAD + TAIL + SLACK + 1)
    return [(row.id, row.time, row.step, row.line) for row in ordered]


def trim(operation: str) -> None:
    """Leave out the middle of a log that has become too long; call it at least
    every `SLACK` lines."""
    with node.atomic("immediate"):
        mine = OperationLog.select().where(OperationLog.operation == operation)
        first = mine.order_by(OperationLog.id).offset(HEAD).first()
        last = mine.order_by(OperationLog.id.desc()).offset(TAIL).first()
        if first is None or last is None or last.id <= first.id:
            return
        before = int(first.line.split()[0]) if first.step == LEFT_OUT else 0
        count = OperationLog.delete().where(
            (OperationLog.operation == operation)
            & OperationLog.id.between(first.id, last.id)
        )
        gone = count.execute() + before - (1 if before else 0)
        OperationLog.insert(
            id=first.id,
            operation=operation,
            time=first.time,
            step=LEFT_OUT,
            line=f"{gone} lines were left out here",
        ).execute()
