"""The gateway's engine: runs tasks on healthy instances and measures them.

One per process. `run` works in the caller's thread, `submit` in a pool; a task
that was working when its process died is lost, or tried again where the agent's
card says that it may be repeated.
"""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import httpx
import jsonschema
from jsonschema.exceptions import SchemaError

from appliance import clock, state
from appliance.config import Settings
from appliance.market import tasks
from appliance.market.tasks import Task
from appliance.problems import Invalid, NotFound, Problem, Unavailable

_turn = itertools.count()


class Lost(Exception):
    """The instance went away in the middle of a task."""


class Engine:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = httpx.Client(
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=64)
        )
        self._pool = ThreadPoolExecutor(settings.market.workers, "task")
        self._cards: dict[str, dict[str, Any]] = {}
        self.changed = threading.Condition()

    def recover(self) -> None:
        """Take up what an earlier process left."""
        for task in Task.select().where(Task.state == "working"):
            why = "The gateway was restarted while the agent worked; call it again."
            self._end(task.id, "failed", error=Problem("agent-lost", why, status=502))
        for task in Task.select().where(Task.state == "submitted"):
            self._pool.submit(self.execute, task.id)

    def accept(
        self, agent: state.Record, caller: str, body: Any, default_timeout: int
    ) -> Task:
        """Check and store a task; raises Problem before anything is stored."""
        wish = tasks.validated(body, default_timeout)
        healthy = instances(agent.id)
        version = healthy[0].body["version"] if healthy else agent.body["latest"]
        if healthy:
            self._must_fit(self._card(healthy[0]), wish["input"])
        return tasks.create(
            agent.body["owner_name"], agent.body["name"], version, caller, wish
        )

    def submit(self, task: Task) -> None:
        self._pool.submit(self.execute, task.id)

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
            self._attempt(task, attempts)
        except Problem as problem:
            usage = measure(task, 0)
            self._end(id_, "failed", error=problem, usage=usage, attempts=attempts)

    def _attempt(self, task: Task, attempts: list[dict[str, Any]]) -> None:
        agent = f"{task.owner}/{task.agent}"
        for tries in (1, 2):
            instance = pick(agent)
            entry = {
                "instance": instance.id,
                "node": instance.body["node"],
                "started": clock.rfc3339(clock.now()),
            }
            attempts.append(entry)
            try:
                answer = self._call(task, instance)
            except Lost as lost:
                entry |= {"ended": clock.rfc3339(clock.now()), "outcome": "lost"}
                if tries == 1 and self._card(instance).get("repeatable"):
                    continue
                raise Problem("agent-lost", str(lost), status=502) from None
            entry |= {"ended": clock.rfc3339(clock.now()), "outcome": "completed"}
            usage = measure(task, answer["bytes"], answer["usage"])
            self._end(
                task.id,
                "completed",
                output=answer["output"],
                usage=usage,
                attempts=attempts,
            )
            return

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
        headers = {"Accept": "text/event-stream" if stream else "application/json"}
        url = f"{address(instance)}/run_task"
        try:
            with self._client.stream(
                "POST", url, json=body, headers=headers, timeout=left
            ) as answer:
                if answer.headers.get("content-type", "").startswith(
                    "text/event-stream"
                ):
                    return self._streamed(task, answer)
                return self._whole(task, answer)
        except httpx.TimeoutException:
            raise timeout(task) from None
        except httpx.HTTPError as error:
            raise Lost(f"The instance went away: {error or type(error).__name__}.")

    def _read(self, task: Task, answer: httpx.Response) -> bytes:
        limit = int(self._settings.market.max_output_mib * 2**20)
        whole = b""
        for chunk in answer.iter_bytes():
            whole += chunk
            if len(whole) > limit:
                raise nonsense("its answer is larger than market.max_output_mib")
            if clock.now() > task.deadline:
                raise timeout(task)
        return whole

    def _whole(self, task: Task, answer: httpx.Response) -> dict[str, Any]:
        raw = self._read(task, answer)
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            document = None
        if answer.status_code >= 400:
            raise Problem(
                "agent-error",
                f"The agent answered {answer.status_code}.",
                status=502,
                agent=document,
            )
        if not isinstance(document, dict) or "output" not in document:
            raise nonsense("its answer is not JSON with an output")
        return result(document, len(raw))

    def _streamed(self, task: Task, answer: httpx.Response) -> dict[str, Any]:
        size = 0
        for kind, text in sse(answer, task.deadline):
            size += len(text)
            try:
                body = json.loads(text)
            except (ValueError, RecursionError):
                raise nonsense("an event is not JSON") from None
            if kind == "delta":
                self._tell(task.id, "delta", body)
            elif kind == "error":
                raise Problem(
                    "agent-error",
                    "The agent reported an error.",
                    status=502,
                    agent=body,
                )
            elif kind == "result" and isinstance(body, dict) and "output" in body:
                return result(body, size)
        raise nonsense("its stream ended without a result")

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
        schema = card.get("input")
        if not isinstance(schema, dict):
            return
        try:
            found = list(jsonschema.Draft202012Validator(schema).iter_errors(value))
        except (SchemaError, RecursionError, ValueError):
            return  # the agent's fault, not the caller's
        if found:
            wrong = {
                "/" + "/".join(map(str, e.absolute_path)): e.message for e in found
            }
            raise Invalid("The input does not fit the agent's schema.", **wrong)

    def _tell(self, id_: str, kind: str, body: Any) -> None:
        tasks.say(id_, kind, body)
        with self.changed:
            self.changed.notify_all()

    def _end(self, id_: str, state_: str, **members: Any) -> None:
        if not tasks.end(id_, state_, **members):
            return
        task = tasks.get(id_)
        if state_ == "completed":
            self._tell(id_, "result", tasks.as_document(task))
        else:
            self._tell(id_, "error", json.loads(task.error or "{}"))


def result(document: dict[str, Any], size: int) -> dict[str, Any]:
    usage = document.get("usage")
    return {
        "output": document["output"],
        "usage": usage if isinstance(usage, dict) else {},
        "bytes": size,
    }


def sse(answer: httpx.Response, deadline: float) -> Any:
    """(event, data) pairs of a stream (WHATWG HTML, server-sent events)."""
    kind, data = "message", list[str]()
    for line in answer.iter_lines():
        if clock.now() > deadline:
            raise httpx.ReadTimeout("deadline")
        if not line:
            if data:
                yield kind, "\n".join(data)
            kind, data = "message", []
        elif line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


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


def pick(agent: str) -> state.Record:
    """The next healthy instance, in turn; raises agent-unavailable."""
    healthy = instances(agent)
    if healthy:
        return healthy[next(_turn) % len(healthy)]
    known = state.select("instance", agent=agent)
    why = "; ".join(f"{r.body['state']} {r.body['reason']}".strip() for r in known)
    raise Unavailable(
        "agent-unavailable",
        f"{agent} has no healthy instance ({why or 'none is deployed'}).",
    )


@cache
def current() -> Engine:
    """The engine of this process."""
    from appliance.config import settings

    return Engine(settings())
