"""The gateway's engine: runs tasks on healthy instances and measures them.

One per process. `run` works in the caller's thread, `submit` in a pool; a task
that was working when its process died is lost, or tried again where the agent's
card says that it may be repeated.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import httpx
import structlog
from peewee import PeeweeException

from appliance import clock, state
from appliance.config import Settings
from appliance.market import tasks
from appliance.market.schemas import violations
from appliance.market.sse import Parser
from appliance.market.tasks import Task
from appliance.problems import Invalid, NotFound, Problem, Unavailable

_turn = itertools.count()
log = structlog.get_logger()


class Lost(Exception):
    """The instance went away in the middle of a task."""

    def __init__(self, why: str, repeatable: bool) -> None:
        super().__init__(why)
        self.repeatable = repeatable


class Engine:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=64)
        )
        self._pool = ThreadPoolExecutor(settings.market.workers, "task")
        self._cards: dict[str, dict[str, Any]] = {}
        self.changed = threading.Condition()

    def close(self) -> None:
        """Take no more tasks; those that run go on to their end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def recover(self) -> list[Future[None]]:
        """Take up what an earlier process left."""
        for task in Task.select().where(Task.state == "working"):
            why = "The gateway was restarted while the agent worked; call it again."
            self._end(task.id, "failed", error=Problem("agent-lost", why, status=502))
        queued = Task.select().where(Task.state == "submitted").order_by(Task.id)
        return [self.submit(task) for task in queued]

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
        healthy = instances(agent.id)
        if not healthy:
            raise unavailable(agent.id)
        self._must_fit(self._card(healthy[0]), wish["input"])
        owner, name = agent.body["owner_name"], agent.body["name"]
        version = healthy[0].body["version"]
        return partial(tasks.create, owner, name, version, caller, wish)

    def submit(self, task: Task) -> Future[None]:
        """Run a task in the pool, in its turn."""
        return self._pool.submit(self.execute, task.id)

    def cancel(self, task: Task) -> None:
        """End a task that has not ended; harmless when it has."""
        problem = Problem("canceled", "The caller canceled the task.", status=409)
        self._end(task.id, "canceled", error=problem)

    def wait(self, task: Task, seconds: float) -> Task:
        """The task, as soon as its state differs, or after `seconds`."""
        end = clock.now() + seconds
        while True:
            now = tasks.get(task.id)
            left = end - clock.now()
            if now.state != task.state or now.state in tasks.ENDED or left <= 0:
                return now
            with self.changed:
                self.changed.wait(min(left, 0.25))

    def execute(self, id_: str) -> None:
        """Run one task to its end, on a second instance where that is safe."""
        if not tasks.begin(id_):
            return
        task, attempts = tasks.get(id_), list[dict[str, Any]]()
        self._tell(id_, "state", {"state": "working"})
        try:
            answer = self._answer(task, attempts)
        except Problem as problem:
            usage = measure(task, 0)
            self._end(id_, "failed", error=problem, usage=usage, attempts=attempts)
        except (PeeweeException, OSError) as error:
            log.error("task.failed", task=id_, why=str(error))
            text = f"The node could not go on with the task: {error}."
            self._end(id_, "failed", error=Problem("agent-lost", text, status=502))
        else:
            usage = measure(task, answer["bytes"], answer["usage"])
            output = answer["output"]
            self._end(id_, "completed", output=output, usage=usage, attempts=attempts)

    def _answer(self, task: Task, attempts: list[dict[str, Any]]) -> dict[str, Any]:
        """The agent's answer, from another instance when the first was lost."""
        try:
            return self._attempt(task, attempts)
        except Lost as lost:
            if not lost.repeatable:
                raise Problem("agent-lost", str(lost), status=502) from None
        try:
            return self._attempt(task, attempts)
        except Lost as lost:
            raise Problem("agent-lost", str(lost), status=502) from None

    def _attempt(self, task: Task, attempts: list[dict[str, Any]]) -> dict[str, Any]:
        lost = [entry["instance"] for entry in attempts]
        instance = pick(f"{task.owner}/{task.agent}", lost)
        node, began = instance.body["node"], clock.rfc3339(clock.now())
        entry = {"instance": instance.id, "node": node, "started": began}
        attempts.append(entry)
        outcome = "lost"
        try:
            answer = self._call(task, instance)
            self._must_be_promised(self._card(instance), answer["output"])
            outcome = "completed"
        except Problem as problem:
            outcome = problem.name
            raise
        finally:
            entry |= {"ended": clock.rfc3339(clock.now()), "outcome": outcome}
        return answer

    def _must_be_promised(self, card: dict[str, Any], output: Any) -> None:
        wrong = violations(card.get("output"), output)
        if wrong:
            why = "; ".join(f"{at or 'output'}: {text}" for at, text in wrong.items())
            raise nonsense(f"its output does not fit its own schema: {why}")

    def _call(self, task: Task, instance: state.Record) -> dict[str, Any]:
        left = task.deadline - clock.now()
        if left <= 0:
            raise timeout(task)
        request = json.loads(task.request)
        body = {
            "task_id": task.id,
            "input": request["input"],
            "parameters": request["parameters"],
            "timeout_s": left,
        }
        stream = bool(self._card(instance).get("streaming"))
        headers = {
            "Accept": "text/event-stream" if stream else "application/json",
            "Accept-Encoding": "identity",
        }
        url = f"{address(instance)}/run_task"
        try:
            with self._client.stream(
                "POST", url, json=body, headers=headers, timeout=left
            ) as answer:
                media = answer.headers.get("content-type", "")
                if media.startswith("text/event-stream"):
                    return self._streamed(task, answer)
                return self._whole(task, answer)
        except httpx.TimeoutException:
            raise timeout(task) from None
        except httpx.HTTPError as error:
            why = f"The instance went away: {error or type(error).__name__}."
            raise Lost(why, bool(self._card(instance).get("repeatable"))) from None

    def _whole(self, task: Task, answer: httpx.Response) -> dict[str, Any]:
        raw = b"".join(self._chunks(task, answer))
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            document = None
        if answer.status_code >= 400:
            raise agent_error(f"The agent answered {answer.status_code}", document)
        return result(document, len(raw))

    def _chunks(self, task: Task, answer: httpx.Response) -> Iterator[bytes]:
        """The answer as it comes, within the deadline and the size allowed."""
        limit, size = int(self._settings.market.max_output_mib * 2**20), 0
        for chunk in answer.iter_raw():
            size += len(chunk)
            if size > limit:
                raise nonsense("its answer is larger than market.max_output_mib")
            if clock.now() > task.deadline:
                raise timeout(task)
            yield chunk

    def _streamed(self, task: Task, answer: httpx.Response) -> dict[str, Any]:
        parser, size = Parser(), 0
        for chunk in self._chunks(task, answer):
            size += len(chunk)
            for kind, text in parser.feed(chunk):
                final = self._event(task, kind, text, size)
                if final is not None:
                    return final
        raise nonsense("its stream ended without a result")

    def _event(
        self, task: Task, kind: str, text: str, size: int
    ) -> dict[str, Any] | None:
        """Pass one event on; the answer, when it is the result."""
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            raise nonsense("an event is not JSON") from None
        if kind == "error":
            raise agent_error("The agent reported an error", body)
        if kind == "result":
            return result(body, size)
        if kind in ("delta", "log"):
            self._tell(task.id, kind, body)
        return None

    def _card(self, instance: state.Record) -> dict[str, Any]:
        key = f"{instance.id}"
        if key not in self._cards:
            try:
                answer = self._client.get(f"{address(instance)}/agent", timeout=5)
                card = answer.json() if answer.status_code == 200 else {}
            except (httpx.HTTPError, ValueError):
                return {}
            self._cards[key] = card if isinstance(card, dict) else {}
        return self._cards[key]

    def card(self, agent: str) -> dict[str, Any] | None:
        """The agent's card, from a healthy instance."""
        healthy = instances(agent)
        return (self._card(healthy[0]) or None) if healthy else None

    def _must_fit(self, card: dict[str, Any], value: Any) -> None:
        wrong = violations(card.get("input"), value)
        if wrong:
            why = "; ".join(f"{at or 'input'}: {text}" for at, text in wrong.items())
            raise Invalid(f"The input does not fit the agent's schema: {why}", **wrong)

    def _tell(self, id_: str, kind: str, body: Any) -> None:
        tasks.say(id_, kind, body)
        with self.changed:
            self.changed.notify_all()

    def _end(self, id_: str, state_: str, **members: Any) -> None:
        if tasks.end(id_, state_, **members):
            with self.changed:
                self.changed.notify_all()


def result(document: Any, size: int) -> dict[str, Any]:
    """What counts of an agent's answer; raises agent-nonsense."""
    if not isinstance(document, dict) or "output" not in document:
        raise nonsense("its answer is not a JSON object with an output")
    usage = document.get("usage")
    return {
        "output": document["output"],
        "usage": usage if isinstance(usage, dict) else {},
        "bytes": size,
    }


def agent_error(what: str, document: Any) -> Problem:
    """The agent's own problem is inside, as member `agent`."""
    inner = document if isinstance(document, dict) else {}
    why = inner.get("detail") or inner.get("title") or "it gave no reason"
    return Problem("agent-error", f"{what}: {why}", status=502, agent=document)


def measure(
    task: Task, received: int, reported: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Usage as the gateway saw it; what the agent claims is kept apart."""
    started = task.started or clock.now()
    return {
        "wall_ms": round((clock.now() - started) * 1000),
        "queue_ms": round((started - task.created) * 1000),
        "request_bytes": len(task.request),
        "response_bytes": received,
        "reported": reported or {},
    }


def timeout(task: Task) -> Problem:
    text = "The agent did not answer before the deadline (timeout_s)."
    return Problem("agent-timeout", text, status=504)


def nonsense(why: str) -> Problem:
    return Problem("agent-nonsense", f"The agent answers rubbish: {why}.", status=502)


def address(instance: state.Record) -> str:
    return f"http://{instance.body['address']}:{instance.body['port']}"


def find_agent(name: str, owner: str | None = None) -> state.Record:
    """The agent by full or short name; raises agent-unknown."""
    found = (
        [state.find("agent", f"{owner}/{name}")]
        if owner
        else state.select("agent", name=name)
    )
    if not found or found[0] is None:
        full = f"{owner}/{name}" if owner else name
        raise NotFound("agent-unknown", f"There is no agent {full}.")
    return found[0]


def instances(agent: str) -> list[state.Record]:
    return state.select("instance", agent=agent, state="healthy")


def pick(agent: str, lost: Sequence[str] = ()) -> state.Record:
    """The next healthy instance, in turn; raises agent-unavailable.

    Those in `lost` come last: a task is tried again on another if there is one.
    """
    healthy = instances(agent)
    others = [record for record in healthy if record.id not in lost] or healthy
    if others:
        return others[next(_turn) % len(others)]
    raise unavailable(agent)


def unavailable(agent: str) -> Unavailable:
    """Why no instance can take a task now."""
    known = state.select("instance", agent=agent)
    why = "; ".join(
        f"{r.body['state']} {r.body.get('reason') or ''}".strip() for r in known
    )
    return Unavailable(
        "agent-unavailable",
        f"{agent} has no healthy instance ({why or 'none is deployed'}).",
    )


@cache
def current() -> Engine:
    """The engine of this process."""
    from appliance.config import settings

    return Engine(settings())
