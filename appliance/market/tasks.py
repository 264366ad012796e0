"""Tasks: rows, their documents, their events. See docs/tasks.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from peewee import AutoField, FloatField, TextField

from appliance import clock, database
from appliance.database import NodeModel
from appliance.market import owners
from appliance.problems import Invalid, NotFound, Problem

ENDED = ("completed", "failed", "canceled", "rejected")
STATES = ("submitted", "working", "input-required", "auth-required", *ENDED)
OLDER = {  # what the older network called them
    "pendingpocassessment": "submitted",
    "pocassigned": "submitted",
    "claimed": "submitted",
    "inprogress": "working",
    "cancelled": "canceled",
}
RUN_S, SUBMIT_S = 60, 900  # how long, where the caller does not say
LONGEST_S = 3600
STREAMED_KEPT_S = 86_400.0
METADATA_BYTES = 16 * 1024
PAGE = 50
END = ("state", "ended", "output", "error", "usage", "attempts")


class Task(NodeModel):
    """`owner` and `caller` are ids of accounts."""

    id = TextField(primary_key=True)
    owner = TextField()
    agent = TextField()
    version = TextField()
    caller = TextField()
    state = TextField()
    request = TextField()
    input_digest = TextField()
    output = TextField(null=True)
    error = TextField(null=True)
    usage = TextField()
    attempts = TextField()
    metadata = TextField()
    deadline = FloatField()
    created = FloatField()
    started = FloatField(null=True)
    ended = FloatField(null=True)


class TaskEvent(NodeModel):
    id = AutoField()
    task = TextField()
    time = FloatField()
    kind = TextField()
    body = TextField()

    class Meta:
        table_name = "task_event"


def validated(body: Any, default_timeout: int) -> dict[str, Any]:
    """The request with defaults filled in; raises Invalid."""
    if not isinstance(body, dict) or "input" not in body:
        raise Invalid('The body must be JSON like {"input": …}.', input="missing")
    unknown = set(body) - {"input", "parameters", "timeout_s", "metadata", "webhook"}
    if unknown:
        raise Invalid(f"Unknown member {sorted(unknown)[0]!r}.")
    if body.get("webhook") is not None:
        raise Invalid("Webhooks are not served by this version; leave it null.")
    timeout = body.get("timeout_s", default_timeout)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise Invalid("timeout_s is a number of seconds.", timeout_s="not a number")
    if not 1 <= timeout <= LONGEST_S:
        raise Invalid(f"timeout_s: 1 to {LONGEST_S}.", timeout_s="out of range")
    for name in ("parameters", "metadata"):
        if not isinstance(body.get(name, {}), dict):
            raise Invalid(f"{name} must be an object.", **{name: "not an object"})
    if len(json.dumps(body.get("metadata", {}))) > METADATA_BYTES:
        text = f"metadata may have {METADATA_BYTES >> 10} KiB; it is for labels."
        raise Invalid(text, metadata="too large")
    return {
        "input": body["input"],
        "parameters": body.get("parameters", {}),
        "timeout_s": timeout,
        "metadata": body.get("metadata", {}),
    }


def digest(value: Any) -> str:
    """`sha256:` and the hex digest of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "sha256:" + sha256(text.encode()).hexdigest()


def create(owner: str, agent: str, version: str, caller: str, wish: Any) -> Task:
    """Store a submitted task for an agent of the account `owner`; both are ids."""
    now = clock.now()
    return Task.create(
        id=clock.new_id(),
        owner=owner,
        agent=agent,
        version=version,
        caller=caller,
        state="submitted",
        request=json.dumps(wish),
        input_digest=digest(wish["input"]),
        usage="{}",
        attempts="[]",
        metadata=json.dumps(wish["metadata"]),
        deadline=now + wish["timeout_s"],
        created=now,
    )


def of_caller(account: str) -> Any:
    """The condition that a task is of this account's id."""
    return Task.caller == account


def on_agents_of(account: str, *others: str) -> Any:
    """The condition that a task is for an agent of this account's id, or for one of
    others' by the full name."""
    condition = Task.owner == account
    for agent in others:
        owner, _, name = agent.partition("/")
        theirs = Task.owner == (owners.account_of(owner) or owner)
        condition |= theirs & (Task.agent == name)
    return condition


def hand_over(agent: str, account: str) -> None:
    """The tasks on an agent go with it to the account of this id."""
    owner, _, name = agent.partition("/")
    theirs = Task.owner == (owners.account_of(owner) or owner)
    Task.update(owner=account).where(theirs & (Task.agent == name)).execute()


def reword(name: str, say: Callable[[Any], Any]) -> int:
    """Let `say` word anew what the node itself said of tasks, where a name stands in
    it; says how often. What callers and agents wrote stays."""
    count = 0
    said: tuple[tuple[Any, str], ...] = (
        (Task, "error"),
        (Task, "attempts"),
        (TaskEvent, "body"),
    )
    for table, column in said:
        field = getattr(table, column)
        for row in list(table.select().where(field.contains(name))):
            before = getattr(row, column)
            text = json.dumps(say(json.loads(before)))
            if text != before:
                table.update(**{column: text}).where(table.id == row.id).execute()
                count += 1
    return count


def given_by(account: str) -> Iterator[dict[str, Any]]:
    """Every task that is kept of those that the account of this id gave, with what
    went in, the oldest first."""
    query = Task.select().where(Task.caller == account).order_by(Task.id)
    for task in query.iterator():
        yield {**as_document(task), "request": json.loads(task.request)}


def agent_of(task: Task) -> str:
    """The full name of the task's agent, as it is called today."""
    return owners.agent_of(task.owner, task.agent)


def selection(whose: Any, agent: str = "", state: str = "", after: str = "") -> Any:
    """A query for the tasks of a condition, or all where it is None, newest first;
    raises Invalid."""
    query = Task.select().order_by(Task.id.desc())
    query = query if whose is None else query.where(whose)
    if after and not query.where(Task.id == after).exists():
        text = "after: none of these tasks has this id; leave it out to begin anew."
        raise Invalid(text, after="unknown")
    if agent:
        owner, _, name = agent.rpartition("/")
        query = query.where(Task.agent == name)
        if owner:
            query = query.where(Task.owner == (owners.account_of(owner) or owner))
    if state:
        query = query.where(Task.state == state_named(state))
    if after:
        query = query.where(Task.id < after)
    return query


def page(query: Any) -> tuple[list[Task], str | None]:
    """The first tasks of a query, and the cursor for more."""
    rows = list(query.limit(PAGE + 1))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def state_named(text: str) -> str:
    """Today's state for its name here, in A2A 1.0 or in the older network."""
    lower = text.lower().removeprefix("task_state_").replace("_", "-")
    found = OLDER.get(lower, lower)
    if found not in STATES:
        raise Invalid(f"state: one of {', '.join(STATES)}.", state="unknown")
    return found


def get(id_: str, caller: str | None = None) -> Task:
    """A task; that of another caller does not exist."""
    row = database.row(Task, "id", id_)
    if row is None or (caller is not None and row.caller != caller):
        raise NotFound("task-unknown", f"There is no task {id_}.")
    return row


def begin(id_: str, version: str, attempts: list[dict[str, Any]]) -> bool:
    """From submitted to working; False when it has ended meanwhile."""
    open_ = (Task.id == id_) & (Task.state == "submitted")
    with database.node.atomic("immediate"):  # who sees it working sees its event
        changed = Task.update(
            state="working",
            version=version,
            started=clock.now(),
            attempts=json.dumps(attempts),
        ).where(open_)
        if not changed.execute():
            return False
        say(id_, "state", {"state": "working"})
    return True


def attempt(id_: str, attempts: list[dict[str, Any]]) -> None:
    """Keep what was tried so far, for who looks and for a gateway that restarts."""
    open_ = (Task.id == id_) & Task.state.not_in(ENDED)
    Task.update(attempts=json.dumps(attempts)).where(open_).execute()


def end(
    id_: str,
    state: str,
    *,
    output: Any = None,
    error: Problem | None = None,
    received: int = 0,
    reported: Any = None,
    attempts: list[dict[str, Any]] | None = None,
) -> bool:
    """End a task, once: False when it had ended before."""
    with database.node.atomic("immediate"):  # who sees the end sees its event
        task, now = get(id_), clock.now()
        if task.state in ENDED:
            return False
        if attempts is None:
            attempts = json.loads(task.attempts)
        for entry in attempts:
            entry.setdefault("ended", clock.rfc3339(now))
            entry.setdefault("outcome", error.name if error else state)
        task.state, task.ended = state, now
        task.output = json.dumps(output) if state == "completed" else None
        task.error = json.dumps(error.document()) if error else None
        task.usage = json.dumps(measured(task, now, received, reported))
        task.attempts = json.dumps(attempts)
        task.save(only=END)
        if error is None:
            say(id_, "result", as_document(task))
        else:
            say(id_, "error", error.document())
    return True


def measured(task: Task, now: float, received: int, reported: Any) -> dict[str, Any]:
    """Usage as the gateway saw it; what the agent claims is kept apart."""
    started = task.started or now
    return {
        "wall_ms": round((now - started) * 1000),
        "queue_ms": round((started - task.created) * 1000),
        "request_bytes": len(task.request.encode()),
        "response_bytes": received,
        "reported": reported or {},
    }


def say(id_: str, kind: str, body: Any) -> None:
    TaskEvent.create(task=id_, time=clock.now(), kind=kind, body=json.dumps(body))


def events(id_: str, after: int = 0) -> list[tuple[int, str, str]]:
    """(id, kind, JSON) of a task's events after one."""
    rows = TaskEvent.select().where((TaskEvent.task == id_) & (TaskEvent.id > after))
    return [(row.id, row.kind, row.body) for row in rows.order_by(TaskEvent.id)]


def trim(keep_days: int) -> int:
    """Drop tasks that ended long ago with their events, and of those that ended a
    day ago what was streamed; says how many tasks went."""
    now = clock.now()
    streamed = Task.select(Task.id).where(Task.ended < now - STREAMED_KEPT_S)
    TaskEvent.delete().where(
        TaskEvent.task.in_(streamed) & TaskEvent.kind.in_(("delta", "log"))
    ).execute()
    old = Task.ended < now - keep_days * 86400
    return int(Task.delete().where(old).execute())


def queue_position(task: Task) -> int | None:
    """The place among the tasks that wait for the same agent, from 1."""
    if task.state != "submitted":
        return None
    before = Task.select().where(
        (Task.state == "submitted")
        & (Task.owner == task.owner)
        & (Task.agent == task.agent)
        & (Task.id < task.id)
    )
    return int(before.count()) + 1


def as_document(task: Task) -> dict[str, Any]:
    """The task as the API shows it."""
    owner, _, name = agent_of(task).rpartition("/")
    return {
        "id": task.id,
        "agent": {"owner": owner, "name": name, "version": task.version},
        "state": task.state,
        "queue_position": queue_position(task),
        "input_digest": task.input_digest,
        "output": json.loads(task.output) if task.output else None,
        "error": json.loads(task.error) if task.error else None,
        "usage": json.loads(task.usage),
        "attempts": json.loads(task.attempts),
        "created": clock.rfc3339(task.created),
        "started": clock.rfc3339(task.started),
        "ended": clock.rfc3339(task.ended),
        "metadata": json.loads(task.metadata),
    }
