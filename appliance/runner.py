"""Who does operations: threads of formation-jobs, step by step, also after a crash."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from peewee import PeeweeException

from appliance import clock, operations, wake
from appliance.config import settings
from appliance.database import node
from appliance.operations import (
    FAILED,
    Canceled,
    Kind,
    Operation,
    Run,
    Step,
    Suspended,
    change_step,
)
from appliance.problems import (
    DiskFull,
    EngineGone,
    Problem,
    from_document,
    is_disk_full,
)

log = structlog.get_logger()
# May the account of this id still act with this role on this agent, or on what the
# account of this name owns? Raises.
Authorise = Callable[[str, str, str | None], None]
ENGINE_WAIT_S = 90.0
LEAVE_S = 5.0


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
            asked = operations.get(id_).request
            with structlog.contextvars.bound_contextvars(request_id=asked):
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
    row = operations.get(id_)
    kind = operations.kinds()[row.kind]
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
        asks = step is kind.steps[0] or not kind.asks_once
        allowed = partial(_must_be_allowed, row, kind, authorise if asks else None)
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
    change_step(run.id, step.name, state="now", started=clock.now(), progress=None)
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
        change_step(run.id, step.name, state="done", ended=clock.now(), progress=1.0)
    return None


def _failed(run: Run, step: Step, problem: Problem) -> Problem:
    """Keep what went wrong with its step, so that a crash changes nothing of it."""
    with node.atomic("immediate"):
        Operation.update(
            error=json.dumps(problem.document()), memory=json.dumps(run.memory)
        ).where(Operation.id == run.id).execute()
        change_step(run.id, step.name, state=_outcome(problem), ended=clock.now())
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
    log.info("operation.ended", operation=run.id, state=state)
    wake.notify(settings().run_dir, "gateway", "operation")
