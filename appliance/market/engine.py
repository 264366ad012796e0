"""The gateway's engine: the queue of tasks, who may run now, and their ends.

The queue is the table of tasks. The engine that is open (formation-gateway's)
runs what is submitted, whichever process took it, so many of an agent's tasks at
once; the others tell it and wait. A task that was working when the gateway died
is lost, or tried again where the agent's card says that it may be repeated.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import structlog

from appliance import clock, service, state, wake
from appliance.config import Settings
from appliance.market import tasks
from appliance.market.attempts import Attempts, check_input, timeout
from appliance.market.cards import Card, Cards
from appliance.market.catalogue import instances, unavailable
from appliance.market.shares import Shares
from appliance.market.tasks import Task
from appliance.problems import Problem, Unavailable

ROUND_S = 1.0
LOOK_S = 0.25
THREADS = 1024  # more than market.workers and one for each other agent
log = structlog.get_logger()


class Engine:
    """One a process. `changed` of a task is an event that those who wait share."""

    def __init__(self, settings: Settings) -> None:
        market = settings.market
        self._settings = settings
        self._limit = int(market.max_output_mib * 2**20)
        self._pool: ThreadPoolExecutor | None = None
        self._shares = Shares(market.workers, market.tasks_per_agent)
        self._seats = Shares(market.calls, market.calls_per_agent)
        self._lock = threading.Lock()
        self._queues: dict[str, deque[str]] = {}
        self._known: set[str] = set()
        self._running: dict[str, Attempts] = {}
        self._watchers: dict[str, list[threading.Event]] = {}
        self._waiter: wake.Waiter | None = None
        self._thread: threading.Thread | None = None
        self.cards = Cards()

    def reload(self, settings: Settings) -> None:
        """Other bounds from now on; what runs goes on."""
        market = settings.market
        self._settings = settings
        self._limit = int(market.max_output_mib * 2**20)
        self._shares.resize(market.workers, market.tasks_per_agent)
        self._seats.resize(market.calls, market.calls_per_agent)

    def open(self) -> None:
        """Be the engine that runs tasks; takes up what an earlier one left."""
        self._pool = ThreadPoolExecutor(THREADS, "task")
        self._waiter = wake.Waiter(self._settings.run_dir, "tasks")
        for task in Task.select().where(Task.state == "working").order_by(Task.id):
            self._enqueue(task)
        self.round()
        self._thread = threading.Thread(target=self._rounds, name="tasks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more tasks; those that run are cut, and lost."""
        waiter, self._waiter = self._waiter, None
        if waiter is None or self._thread is None or self._pool is None:
            return
        wake.notify(self._settings.run_dir, "tasks")
        self._thread.join()
        waiter.close()
        with self._lock:
            self._queues.clear()
        for attempts in list(self._running.values()):
            attempts.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._known.clear()

    @property
    def is_open(self) -> bool:
        return self._waiter is not None

    def accept(
        self, agent: state.Record, caller: str, body: Any, default_timeout: int
    ) -> Task:
        """Check and store a task; raises Problem before anything is stored."""
        return self.prepare(agent, caller, body, default_timeout)()

    def prepare(
        self, agent: state.Record, caller: str, body: Any, default_timeout: int
    ) -> Callable[[], Task]:
        """Check a task; what comes back stores it."""
        wish = tasks.validated(body, default_timeout)
        self._must_run()
        healthy = instances(agent.id)
        if not healthy:
            raise unavailable(agent.id)
        check_input(self.cards.of(healthy[0]), wish["input"])
        owner, name = agent.body["owner"], agent.body["name"]
        version = healthy[0].body["version"]
        return partial(tasks.create, owner, name, version, caller, wish)

    def _must_run(self) -> None:
        if self.is_open:
            return
        status = service.read_status(self._settings, service.services()["marketplace"])
        if status.state not in ("running", "degraded"):
            why = f"The marketplace does not run: {status.reason or status.state}."
            raise Unavailable("agent-unavailable", why)

    def card(self, agent: str) -> Card | None:
        """The agent's card, from a healthy instance."""
        healthy = instances(agent)
        return self.cards.of(healthy[0]) if healthy else None

    def submit(self, task: Task) -> None:
        """Have the task run in its turn, here or by the engine that is open."""
        if self.is_open:
            self._enqueue(task)
            self._dispatch()
        else:
            wake.notify(self._settings.run_dir, "tasks")

    def cancel(self, task: Task) -> None:
        """End a task that has not ended, and its call; harmless when it has."""
        attempts = self._running.get(task.id)
        received = attempts.received if attempts else 0
        problem = Problem("canceled", "The caller canceled the task.", status=409)
        self._end(task.id, "canceled", error=problem, received=received)
        if attempts is not None:
            attempts.stop()
        elif not self.is_open:
            wake.notify(self._settings.run_dir, "tasks")

    @contextlib.contextmanager
    def watched(self, id_: str) -> Iterator[threading.Event]:
        """An event that is set whenever something happens to the task here."""
        event = threading.Event()
        with self._lock:
            self._watchers.setdefault(id_, []).append(event)
        try:
            yield event
        finally:
            with self._lock:
                self._watchers[id_].remove(event)
                if not self._watchers[id_]:
                    del self._watchers[id_]

    def wait(
        self, task: Task, seconds: float, done: Callable[[Task], bool] | None = None
    ) -> Task:
        """The task as soon as it is `done`, else when its state differs, or after
        `seconds`."""
        before, end, look = task.state, clock.now() + seconds, 0.01
        is_done = done or (lambda now: now.state != before or now.state in tasks.ENDED)
        with self.watched(task.id) as changed:
            while True:
                changed.clear()
                now, left = tasks.get(task.id), end - clock.now()
                if is_done(now) or left <= 0:
                    return now
                look = LOOK_S if self.is_open else min(look * 2, LOOK_S)
                changed.wait(min(left, look))

    def finish(self, task: Task, seconds: float) -> Task:
        """The task when it ended, at its deadline at the latest, or after
        `seconds`."""
        left = task.deadline - clock.now()
        now = self.wait(task, min(seconds, left), lambda now: now.state in tasks.ENDED)
        if now.state not in tasks.ENDED and seconds >= left:
            self.expire(now.id)
            return tasks.get(now.id)
        return now

    def seat(self, agent: str) -> Callable[[], None]:
        """A place among those who wait for an agent; call what comes back to leave.

        Raises quota-exceeded: each one who waits holds a thread of the gateway.
        """
        if not self._seats.take(agent):
            raise Problem(
                "quota-exceeded",
                f"{self._seats.taken(agent)} calls wait for {agent} already. Ask again "
                "later, or use submit_task and look at the task.",
                status=429,
                retry_after=5,
            )
        return partial(self._seats.give, agent)

    def round(self) -> None:
        """Take what other processes stored, end what is overdue or canceled."""
        for task in Task.select().where(Task.state == "submitted").order_by(Task.id):
            if task.deadline <= clock.now():
                self.expire(task.id)
            else:
                self._enqueue(task)
        self._dispatch()
        running = dict(self._running)
        ended = Task.select(Task.id).where(
            Task.id.in_(list(running)) & Task.state.in_(tasks.ENDED)
        )
        for task in ended:
            running[task.id].stop()

    def expire(self, id_: str) -> None:
        """End a task that is past its deadline."""
        attempts = self._running.get(id_)
        received = attempts.received if attempts else 0
        self._end(id_, "failed", error=timeout(), received=received)

    def _rounds(self) -> None:
        while (waiter := self._waiter) is not None:
            waiter.wait(ROUND_S)
            if self._waiter is None:
                return
            try:
                self.round()
            except Exception:  # noqa: BLE001 - the next round may do better
                log.exception("tasks.round")

    def _enqueue(self, task: Task) -> None:
        with self._lock:
            if task.id not in self._known:
                self._known.add(task.id)
                agent = f"{task.owner}/{task.agent}"
                self._queues.setdefault(agent, deque()).append(task.id)

    def _dispatch(self) -> None:
        """Start what may run, each agent's in the order of the queue."""
        with self._lock:
            if self._pool is None or not self.is_open:
                return
            for agent, queue in list(self._queues.items()):
                while queue and self._shares.take(agent):
                    self._pool.submit(self._work, agent, queue.popleft())
                if not queue:
                    del self._queues[agent]

    def _work(self, agent: str, id_: str) -> None:
        try:
            self.execute(id_)
        finally:
            self._shares.give(agent)
            with self._lock:
                self._known.discard(id_)
            self._dispatch()

    def execute(self, id_: str) -> None:
        """Run one task to its end."""
        task = tasks.get(id_)
        if task.state not in ("submitted", "working"):
            return
        attempts = Attempts(task, self.cards, self._limit, self._changed)
        self._running[id_] = attempts
        try:
            output, reported = attempts.run()
        except Problem as problem:
            self._ended(attempts, "failed", error=problem)
        except Exception as error:  # noqa: BLE001 - no task may stay without an end
            log.exception("task.failed", task=id_)
            text = f"The node could not go on with the task: {error}."
            self._ended(
                attempts, "failed", error=Problem("agent-lost", text, status=502)
            )
        else:
            self._ended(attempts, "completed", output=output, reported=reported)
        finally:
            del self._running[id_]

    def _ended(self, attempts: Attempts, state_: str, **members: Any) -> None:
        if attempts.is_stopped and not self.is_open:
            return  # the next gateway says what becomes of it
        received, made = attempts.received, attempts.made
        self._end(attempts.task.id, state_, received=received, attempts=made, **members)

    def _end(self, id_: str, state_: str, **members: Any) -> None:
        if tasks.end(id_, state_, **members):
            self._changed(id_)

    def _changed(self, id_: str) -> None:
        with self._lock:
            for event in self._watchers.get(id_, ()):
                event.set()


@cache
def current() -> Engine:
    """The engine of this process."""
    from appliance.config import settings

    return Engine(settings())
