"""Idempotency keys: the same key and body give the first task again, for 24 h.

A key is reserved while its request is checked: the same key meanwhile is
`in-progress`. A reservation that its process left behind counts for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peewee import FloatField, TextField

from appliance import clock, database
from appliance.database import NodeModel
from appliance.market import tasks
from appliance.market.tasks import Task
from appliance.problems import Problem

KEPT_S = 86_400
LONGEST = 255
RESERVED_S = 60


class Idempotency(NodeModel):
    caller = TextField()
    key = TextField()
    body_digest = TextField()
    task = TextField()
    created = FloatField()

    class Meta:
        primary_key = False


def first(
    caller: str, key: str, digest: str, prepare: Callable[[], Callable[[], Task]]
) -> tuple[Task, bool]:
    """The task of this key, made now if there is none; and whether it was.

    `prepare` checks the request, which may take long, and gives what stores it.
    """
    if not 1 <= len(key) <= LONGEST:
        text = f"Idempotency-Key: 1 to {LONGEST} characters."
        raise Problem("input-invalid", text, status=422)
    known = _reserve(caller, key, digest)
    if known is not None:
        return known, False
    try:
        make = prepare()
        with database.node.atomic("immediate"):
            task = make()
            Idempotency.update(task=task.id).where(_is(caller, key)).execute()
    except BaseException:
        Idempotency.delete().where(_is(caller, key)).execute()
        raise
    return task, True


def _reserve(caller: str, key: str, digest: str) -> Task | None:
    """The key's task, or None once the key is reserved for a new one."""
    now = clock.now()
    with database.node.atomic("immediate"):
        Idempotency.delete().where(
            (Idempotency.created < now - KEPT_S)
            | ((Idempotency.task == "") & (Idempotency.created < now - RESERVED_S))
        ).execute()
        found = Idempotency.get_or_none(_is(caller, key))
        if found is None:
            row = {"caller": caller, "key": key, "body_digest": digest}
            Idempotency.create(**row, task="", created=now)
            return None
    if found.body_digest != digest:
        raise Problem(
            "idempotency-conflict",
            "This Idempotency-Key came with another body before; use a new key.",
            status=422,
        )
    if not found.task:
        text = "The first request with this Idempotency-Key is being taken; ask again."
        raise Problem("in-progress", text, status=409, retry_after=1)
    return tasks.get(found.task)


def _is(caller: str, key: str) -> Any:
    return (Idempotency.caller == caller) & (Idempotency.key == key)
