"""Durable operations: submit, steps, progress, log, cancel, resume after a crash.

An operation is a row in node.db. Each of its steps is a function that may be run
again: what a step learned is kept in `memory` when it ends, and after a crash the
runner goes on with the first step that had not ended.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import structlog
from peewee import FloatField, IntegerField, PeeweeException, TextField

from appliance import clock, journal, wake
from appliance.config import settings
from appliance.database import NodeModel, node
from appliance.problems import (
    DiskFull,
    EngineGone,
    NotFound,
    Problem,
    from_document,
    is_disk_full,
)
from appliance.service import services

log = structlog.get_logger()
LIVE = ("queued", "working")
FAILED = ("failed", "canceled")
KEPT_S = 30 * 86400.0
# May the account of this id still act with this role on what `owner` owns? Raises.
Authorise = Callable[[str, str, str | None], None]
ENGINE_WAIT_S = 90.0
LEAVE_S = 5.0


class Operation(NodeModel):
    """One long action. `state`: queued, working, completed, failed, canceled."""

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

    `owner` tells from subject and parameters which account's things it works on;
    None is nobody's in particular. What is `private` of the parameters is dropped
    when it ends.
    """

    name: str
    steps: tuple[Step, ...]
    role: str = "developer"
    private: tuple[str, ...] = ()
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
        _change_step(self.id, self.step, progress=fraction, detail=detail)

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
    """The name of the account whose things the operation works on, if any's."""
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
        "created": clock.rfc3339(row.created),
        "started": clock.rfc3339(row.started),
        "ended": clock.rfc3339(row.ended),
    }


def _change_step(id_: str, name: str, **members: Any) -> None:
    with node.atomic("immediate"):
        row = get(id_)
        steps = json.loads(row.steps)
        for step in steps:
            if step["name"] == name:
                step.update(members)
        Operation.update(steps=json.dumps(steps)).where(Operation.id == id_).execute()


class Runner:
    """Runs operations in threads of formation-jobs; `crash` is for tests: it is
    called with (operation, step) after each step and may end the process.
    `make_room` frees what it can of a full disk; it returns bytes."""

    def __init__(
        self,
        workers: int = 4,
        crash: Callable[[str, str], None] | None = None,
        authorise: Authorise | None = None,
        make_room: Callable[[], int] = lambda: 0,
    ) -> None:
        self._make_room = make_room
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="operation")
        self._crash = crash
        self._authorise = authorise
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self.worker = f"{os.getpid()}-{clock.new_id()}"

    def recover(self) -> int:
        """Queue again what a dead runner had begun; says how many."""
        again = Operation.update(state="queued", worker=None).where(
            Operation.state == "working"
        )
        return int(again.execute())

    def round(self) -> int:
        """Start what is queued or was lost; returns how many were started."""
        try:
            return self._start()
        except PeeweeException as error:  # those that run go on; the next round starts
            log.error("operations.unread", why=str(error))
            return 0

    def _start(self) -> int:
        if self._ending.is_set():
            return 0
        with self._lock:
            running = list(self._running)
        Operation.update(state="queued").where(
            (Operation.state == "working") & Operation.id.not_in(running)
        ).execute()
        waiting = Operation.select().where(Operation.state == "queued")
        started = 0
        for row in waiting.order_by(Operation.id):
            with self._lock:
                if row.id in self._running:
                    continue
                self._running.add(row.id)
            self._pool.submit(self._run, row.id)
            started += 1
        return started

    def stop(self) -> None:
        """Leave the rest to the next runner; steps get a moment to notice."""
        self._ending.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        pause, end = threading.Event(), clock.now() + LEAVE_S
        while self._running and clock.now() < end:
            pause.wait(0.05)

    def _run(self, id_: str) -> None:
        try:
            execute(
                id_,
                self.worker,
                self._crash,
                self._authorise,
                self._make_room,
                self._ending.is_set,
            )
        except Suspended:
            log.info("operation.suspended", operation=id_)
        except (Problem, PeeweeException) as error:  # the next round tries again
            log.error("operation.lost", operation=id_, why=str(error))
            if is_disk_full(error):
                self._make_room()
        finally:
            with self._lock:
                self._running.discard(id_)


def execute(
    id_: str,
    worker: str,
    crash: Callable[[str, str], None] | None = None,
    authorise: Authorise | None = None,
    make_room: Callable[[], int] = lambda: 0,
    is_ending: Callable[[], bool] = lambda: False,
) -> None:
    """Run one operation to its end, from the first step that is not done.

    Before each step its account's right is asked for again: it may have ended.
    """
    row = get(id_)
    kind = kinds()[row.kind]
    params, memory = json.loads(row.params), json.loads(row.memory)
    run = Run(id_, row.account, row.subject, params, memory, is_ending=is_ending)
    Operation.update(
        state="working", worker=worker, started=row.started or clock.now()
    ).where(Operation.id == id_).execute()
    states = {s["name"]: s["state"] for s in json.loads(row.steps)}
    for step in kind.steps:
        if states[step.name] == "done":
            continue
        if states[step.name] in FAILED:  # a crash cut its undoing short
            _undo(run, kind, step)
            return _end(run, from_document(json.loads(row.error or "{}")), kind.private)
        allowed = partial(_must_be_allowed, row, kind, authorise)
        problem = _do(run, step, allowed, make_room)
        if problem is not None:
            _undo(run, kind, step)
            return _end(run, problem, kind.private)
        if crash is not None:
            crash(id_, step.name)
    return _end(run, None, kind.private)


def _must_be_allowed(row: Operation, kind: Kind, authorise: Authorise | None) -> None:
    if authorise is not None:
        owner = kind.owner(row.subject, json.loads(row.params))
        authorise(row.account, kind.role, owner)


def _do(
    run: Run, step: Step, allowed: Callable[[], None], make_room: Callable[[], int]
) -> Problem | None:
    run.step = step.name
    _change_step(run.id, step.name, state="now", started=clock.now(), progress=None)
    try:
        run.check()
        allowed()
        _with_room(run, step, make_room)
    except Problem as problem:
        return _failed(run, step, problem)
    except Exception as error:  # noqa: BLE001 - a step's bug must end its operation
        log.exception("operation.bug", operation=run.id, step=step.name)
        return _failed(run, step, _told(step, error))
    with node.atomic("immediate"):
        Operation.update(memory=json.dumps(run.memory)).where(
            Operation.id == run.id
        ).execute()
        _change_step(run.id, step.name, state="done", ended=clock.now(), progress=1.0)
    return None


def _failed(run: Run, step: Step, problem: Problem) -> Problem:
    """Keep what went wrong with its step, so that a crash changes nothing of it."""
    with node.atomic("immediate"):
        Operation.update(
            error=json.dumps(problem.document()), memory=json.dumps(run.memory)
        ).where(Operation.id == run.id).execute()
        _change_step(run.id, step.name, state=_outcome(problem), ended=clock.now())
    return problem


def _outcome(problem: Problem) -> str:
    return "canceled" if problem.name == Canceled().name else "failed"


def _with_room(run: Run, step: Step, make_room: Callable[[], int]) -> None:
    """Do the step; where the disk is full, once more after some of it was freed."""
    try:
        return _patiently(run, step)
    except Exception as error:
        if not is_disk_full(error):
            raise
        freed = make_room()
        run.log(f"the disk is full: {error}")
        if not freed:
            run.log("nothing could be freed: something needs every image and layer")
            raise
    size = f"{freed / 1e6:.0f} MB of images and layers that nothing uses"
    run.log(f"{size} were removed; trying once more")
    return _patiently(run, step)


def _patiently(run: Run, step: Step) -> None:
    """Do the step; where an engine is away, again until it is back."""
    pause, end = threading.Event(), clock.now() + ENGINE_WAIT_S
    while True:
        try:
            return step.do(run)
        except EngineGone as gone:
            if clock.now() > end:
                raise
            run.log(f"waiting: {gone}")
            pause.wait(1)
            run.check()


def _told(step: Step, error: Exception) -> Problem:
    """What a person is told of an error that no step foresaw."""
    if is_disk_full(error):
        return DiskFull(
            f"{step.title}: the disk is full. Delete instances or volumes that are "
            "not needed (form storage shows them), then try again."
        )
    return Problem(
        "internal-error",
        f"{step.title}: {type(error).__name__}: {error}. The log of "
        "formation-jobs has the details.",
        status=500,
    )


def _undo(run: Run, kind: Kind, failed: Step) -> None:
    begun = kind.steps[: kind.steps.index(failed) + 1]
    for step in reversed(begun):
        if step.undo is None:
            continue
        try:
            step.undo(run)
        except Problem as problem:
            run.log(f"cleaning up {step.title}: {problem}")


def _end(run: Run, problem: Problem | None, private: Collection[str]) -> None:
    state = "completed"
    if problem is not None:
        state = _outcome(problem)
        run.log(str(problem))
    Operation.update(
        state=state,
        ended=clock.now(),
        memory=json.dumps(run.memory),
        params=json.dumps({k: v for k, v in run.params.items() if k not in private}),
        result=json.dumps(run.result or run.memory.get("result", {})),
        error=json.dumps(problem.document()) if problem else None,
    ).where(Operation.id == run.id).execute()
    wake.notify(settings().run_dir, "gateway", "operation")
