"""Durable operations: submit, steps, progress, log, cancel, resume after a crash.

An operation is a row in node.db. Each of its steps is a function that may be run
again: what a step learned is kept in `memory` when it ends, and after a crash the
runner goes on with the first step that had not ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import structlog
from peewee import FloatField, IntegerField, TextField

from appliance import clock, journal, wake
from appliance.config import settings
from appliance.database import NodeModel, node
from appliance.problems import (
    NotFound,
    Problem,
)
from appliance.service import services

log = structlog.get_logger()
LIVE = ("queued", "working")
FAILED = ("failed", "canceled")
KEPT_S = 30 * 86400.0


class Operation(NodeModel):
    """One long action. `state`: queued, working, completed, failed, canceled.
    `request` is the id of the request that asked for it."""

    id = TextField(primary_key=True)
    kind = TextField()
    title = TextField()
    subject = TextField()
    account = TextField()
    state = TextField()
    params = TextField()
    memory = TextField()
    steps = TextField()
    result = TextField(null=True)
    error = TextField(null=True)
    cancel = IntegerField(default=0)
    worker = TextField(null=True)
    request = TextField(default="")
    created = FloatField()
    started = FloatField(null=True)
    ended = FloatField(null=True)


class Canceled(Problem):
    def __init__(self) -> None:
        super().__init__("canceled", "The operation was canceled.", status=409)


class Suspended(BaseException):
    """The runner ends: what it does stays as it is for the next one. No step's
    failure, so nothing that catches errors may catch it."""


@dataclass(frozen=True)
class Step:
    """`undo` releases what the step made, after a failure or a cancellation."""

    name: str
    title: str
    do: Callable[[Run], None]
    undo: Callable[[Run], None] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of operation; `role` is what its account needs.

    `owner` tells from subject and parameters which agent it works on by the full
    name, or which account's things; None is nobody's in particular. What is
    `private` of the parameters is dropped when it ends. What `asks_once` asks for the
    account's right before its first step alone: later ones take the account away.
    """

    name: str
    steps: tuple[Step, ...]
    role: str = "developer"
    private: tuple[str, ...] = ()
    asks_once: bool = False
    owner: Callable[[str, Mapping[str, Any]], str | None] = lambda *of: None


@dataclass
class Run:
    """What a step sees: parameters, memory across steps, log and progress."""

    id: str
    account: str
    subject: str
    params: Mapping[str, Any]
    memory: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    logged: int = 0
    is_ending: Callable[[], bool] = lambda: False

    def remember(self, **members: Any) -> None:
        """Keep what must be known after a crash in the middle of this step."""
        self.memory |= members
        Operation.update(memory=json.dumps(self.memory)).where(
            Operation.id == self.id
        ).execute()

    def log(self, line: str) -> None:
        journal.add(self.id, self.step, line)
        self.logged += 1
        if self.logged % journal.SLACK == 0:
            journal.trim(self.id)

    def progress(self, fraction: float | None, detail: str = "") -> None:
        """Say how far the present step is, 0 to 1 or None for unknown."""
        change_step(self.id, self.step, progress=fraction, detail=detail)

    def should_end(self) -> bool:
        """Whether somebody asked for its end, or the runner's own has come."""
        row = Operation.select(Operation.cancel).where(Operation.id == self.id)
        return self.is_ending() or bool(row.scalar())

    def check(self) -> None:
        """Raise Canceled once somebody asked for it, Suspended when the runner ends."""
        if self.is_ending():
            raise Suspended
        if self.should_end():
            raise Canceled


def kinds() -> dict[str, Kind]:
    """All kinds, from the modules that the services declare."""
    modules = [s.operations for s in services().values() if s.operations]
    return {k.name: k for module in modules for k in import_module(module).KINDS}


def submit(
    kind: str, *, title: str, subject: str, params: dict[str, Any], account: str
) -> str:
    """Queue an operation and wake formation-jobs; returns its id."""
    if kind not in kinds():
        raise NotFound("operation-unknown", f"There is no operation {kind!r}.")
    steps = [
        {
            "name": step.name,
            "title": step.title,
            "state": "todo",
            "started": None,
            "ended": None,
            "progress": None,
            "detail": "",
        }
        for step in kinds()[kind].steps
    ]
    id_ = clock.new_id()
    Operation.create(
        id=id_,
        kind=kind,
        title=title,
        subject=subject,
        account=account,
        state="queued",
        params=json.dumps(params),
        memory="{}",
        steps=json.dumps(steps),
        request=structlog.contextvars.get_contextvars().get("request_id", ""),
        created=clock.now(),
    )
    wake.notify(settings().run_dir, "jobs", "operation")
    return id_


def get(id_: str) -> Operation:
    row = Operation.get_or_none(Operation.id == id_)
    if row is None:
        raise NotFound("operation-unknown", f"There is no operation {id_}.")
    return row


def owner_of(row: Operation) -> str | None:
    """The agent that the operation works on, or the name of the account whose things
    it does; None is nobody's."""
    kind = kinds().get(row.kind)
    return kind.owner(row.subject, json.loads(row.params)) if kind else None


def recent(limit: int = 20, live: bool = False) -> list[Operation]:
    """The newest operations first; `live` leaves out those that ended."""
    query = Operation.select().order_by(Operation.id.desc()).limit(limit)
    if live:
        query = query.where(Operation.state.in_(LIVE))
    return list(query)


def counts() -> dict[tuple[str, str], int]:
    """How many operations are kept, by (kind, state)."""
    rows = node.execute_sql("select kind, state, count(*) from operation group by 1, 2")
    return {(kind, state): int(count) for kind, state, count in rows.fetchall()}


def step_counts(name: str) -> dict[str, int]:
    """How often the step of this name was begun, by its state."""
    rows = node.execute_sql(
        "select json_extract(step.value, '$.state') as how, count(*) "
        "from operation, json_each(operation.steps) as step "
        "where json_extract(step.value, '$.name') = ? and how != 'todo' group by how",
        (name,),
    )
    return {how: int(count) for how, count in rows.fetchall()}


def step_outcomes(name: str, limit: int) -> list[str]:
    """How the step of this name ended in the newest operations, newest first."""
    rows = node.execute_sql(
        "select json_extract(step.value, '$.state') as how "
        "from operation, json_each(operation.steps) as step "
        "where json_extract(step.value, '$.name') = ? "
        "and how in ('done', 'failed', 'canceled') order by operation.id desc limit ?",
        (name, limit),
    )
    return [how for (how,) in rows.fetchall()]


def log_lines(id_: str, after: int = 0) -> list[tuple[int, float, str, str]]:
    """(id, time, step, line) of the log after a line's id."""
    return journal.lines(id_, after)


def trim(keep: int) -> int:
    """Drop ended operations that are old or beyond the newest `keep`, with their
    logs; says how many went."""
    ended = Operation.state.not_in(LIVE)
    newest = Operation.select(Operation.id).where(ended).order_by(Operation.id.desc())
    last = newest.offset(keep).limit(1).scalar()
    old = Operation.created < clock.now() - KEPT_S
    beyond = old if last is None else old | (Operation.id <= last)
    return int(Operation.delete().where(ended & beyond).execute())


def cancel(id_: str) -> Operation:
    """Ask an operation to end; harmless when it ended already."""
    get(id_)
    Operation.update(cancel=1).where(
        (Operation.id == id_) & Operation.state.in_(LIVE)
    ).execute()
    wake.notify(settings().run_dir, "jobs", "cancel")
    return get(id_)


def as_document(row: Operation) -> dict[str, Any]:
    """The operation as the API shows it; parameters stay inside."""
    return {
        "id": row.id,
        "kind": row.kind,
        "title": row.title,
        "subject": row.subject,
        "state": row.state,
        "steps": json.loads(row.steps),
        "result": json.loads(row.result) if row.result else None,
        "error": json.loads(row.error) if row.error else None,
        "request": row.request,
        "created": clock.rfc3339(row.created),
        "started": clock.rfc3339(row.started),
        "ended": clock.rfc3339(row.ended),
    }


def change_step(id_: str, name: str, **members: Any) -> None:
    """Set members of the step of this name."""
    with node.atomic("immediate"):
        row = get(id_)
        steps = json.loads(row.steps)
        for step in steps:
            if step["name"] == name:
                step.update(members)
        Operation.update(steps=json.dumps(steps)).where(Operation.id == id_).execute()
