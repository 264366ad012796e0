"""Idempotency keys: the same key and body give the first task again, for 24 h.

Key and task are stored in one transaction, so a key is never without its task.
"""

from __future__ import annotations

from collections.abc import Callable

from peewee import FloatField, TextField

from appliance import clock, database
from appliance.database import NodeModel
from appliance.market import tasks
from appliance.market.tasks import Task
from appliance.problems import Problem

KEPT_S = 86_400
LONGEST = 255


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
    known = _known(caller, key, digest)
    if known is not None:
        return known, False
    make, now = prepare(), clock.now()
    with database.node.atomic("immediate"):
        Idempotency.delete().where(Idempotency.created < now - KEPT_S).execute()
        known = _known(caller, key, digest)
        if known is not None:
            return known, False
        task = make()
        Idempotency.create(
            caller=caller, key=key, body_digest=digest, task=task.id, created=now
        )
    return task, True


def _known(caller: str, key: str, digest: str) -> Task | None:
    found = Idempotency.get_or_none(
        (Idempotency.caller == caller)
        & (Idempotency.key == key)
        & (Idempotency.created >= clock.now() - KEPT_S)
    )
    if found is None:
        return None
    if found.body_digest != digest:
        raise Problem(
            "idempotency-conflict",
            "This Idempotency-Key came with another body before; use a new key.",
            status=422,
        )
    return tasks.get(found.task)
