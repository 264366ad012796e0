"""The API of tasks and of the catalogue; see docs/tasks.md."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from appliance import clock, operations, state
from appliance.config import settings
from appliance.market import idempotency, orders, owners, tasks, versions, withdraw
from appliance.market.answers import no_number
from appliance.market.engine import current
from appliance.problems import Problem
from blueprints.access import (
    callable_agent,
    known_agent,
    may_know,
    may_see,
    must_change,
    requires,
)
from blueprints.contract import LOCATION, answers, asks, takes
from blueprints.lists import PAGED, Columns, ListQuery, listed, paged
from blueprints.shapes.market import (
    AgentDetail,
    Agents,
    Manifest,
    SeenTask,
    Task,
    Tasks,
    TasksQuery,
    TaskWish,
    Version,
    WaitQuery,
)
from blueprints.shapes.operations import Operation
from blueprints.tasks import changed, document, seen, whose

blueprint = Blueprint("market", __name__)
API = "/api/v1/market"
HOLD_S = 300
HEARTBEAT_S = 15.0
STREAM = "text/event-stream"
TASK_HEADERS = {"Idempotency-Key": "The same key and body give the first task again."}
PREFER = {"Prefer": "`wait=N`: answer 202 after N seconds, 300 at most."}


def body() -> Any:
    """The request's JSON; too much of it is refused before it is read."""
    limit = int(settings().market.max_input_mib * 2**20)
    raw = b""
    if (request.content_length or 0) <= limit:
        raw = request.stream.read(limit + 1)
    if (request.content_length or len(raw)) > limit:
        raise Problem("too-large", f"A task may have {limit} bytes.", status=413)
    try:
        return json.loads(raw, parse_constant=no_number)
    except (ValueError, RecursionError):
        raise Problem(
            "input-invalid", 'The body is not JSON; send {"input": …}.', status=422
        ) from None


def accept(agent: state.Record, timeout: int) -> tuple[tasks.Task, bool]:
    """The task, and whether it is new; the same key gives the first again."""
    wish, caller = body(), g.account.id
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return current().accept(agent, caller, wish, timeout), True
    digest = tasks.digest([request.path.rsplit("/", 1)[-1], agent.id, wish])
    prepare = partial(current().prepare, agent, caller, wish, timeout)
    return idempotency.first(caller, key, digest, prepare)


def answer_of(task: tasks.Task) -> Any:
    """200 and the task, its own problem, or 202 while it goes on."""
    document = tasks.as_document(task)
    if task.state == "completed":
        return jsonify(document)
    if task.state in tasks.ENDED:
        problem = document["error"]
        answer = jsonify({**problem, "task": document})
        answer.mimetype = "application/problem+json"
        answer.status_code = problem["status"]
        if problem["status"] == 503:
            answer.headers["Retry-After"] = "5"
        return answer
    return accepted(task)


def accepted(task: tasks.Task) -> Any:
    answer = jsonify(tasks.as_document(task))
    answer.status_code = 202
    answer.headers["Location"] = f"{API}/tasks/{task.id}"
    return answer


@blueprint.post(f"{API}/agents/<name>/run_task")
@blueprint.post(f"{API}/agents/<owner>/<name>/run_task")
@requires("user", "tasks", audited=False)
@takes(TaskWish, by_view=True, headers=TASK_HEADERS | PREFER)
@answers(Task, problems=(404, 409, 413, 422, 429, 502, 503, 504))
@answers(media=STREAM, text="With `Accept: text/event-stream`.")
@answers(Task, 202, text="It goes on; see `Location`.", headers=LOCATION)
def run_task(name: str, owner: str | None = None) -> Any:
    """Call an agent and wait for its answer. A task that failed answers with its
    problem, which has the member `task`."""
    agent, hold = callable_agent(name, owner), preferred_wait()
    leave = current().seat(agent.id)
    try:
        task, is_new = accept(agent, tasks.RUN_S)
        if is_new:
            current().submit(task)
        if STREAM in request.headers.get("Accept", ""):
            return stream(task.id, 0, leave)
        task = current().finish(task, tasks.LONGEST_S if hold is None else hold)
    except BaseException:
        leave()
        raise
    leave()
    answer = answer_of(task)
    if hold is not None:
        answer.headers["Preference-Applied"] = f"wait={hold}"
    return answer


def preferred_wait() -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most HOLD_S."""
    for part in request.headers.get("Prefer", "").split(","):
        found = re.fullmatch(r'\s*wait\s*=\s*"?(\d{1,9})"?\s*', part, re.IGNORECASE)
        if found:
            return min(int(found[1]), HOLD_S)
    return None


@blueprint.post(f"{API}/agents/<name>/submit_task")
@blueprint.post(f"{API}/agents/<owner>/<name>/submit_task")
@requires("user", "tasks", audited=False)
@takes(TaskWish, by_view=True, headers=TASK_HEADERS)
@answers(Task, 202, problems=(404, 409, 413, 422, 429, 503), headers=LOCATION)
def submit_task(name: str, owner: str | None = None) -> Any:
    """Give an agent a task and do not wait for its answer."""
    task, is_new = accept(callable_agent(name, owner), tasks.SUBMIT_S)
    if is_new:
        current().submit(task)
    return accepted(task)


@blueprint.get(f"{API}/tasks/<id_>")
@requires("account", "tasks")
@asks(WaitQuery, If_None_Match="The ETag of an earlier answer.")
@answers(SeenTask, problems=(429,), headers={"ETag": "Changes with the task."})
@answers(None, 304, text="It is as the ETag says.")
def show(id_: str, query: WaitQuery) -> Any:
    """A task; with `wait`, once it ended."""
    task = seen(id_)
    wait = min(int(query.wait), HOLD_S)
    if wait and task.state not in tasks.ENDED:
        leave = current().seat(tasks.agent_of(task))
        try:
            task = current().wait(task, wait)
        finally:
            leave()
    answer = jsonify(document(task))
    answer.set_etag(tasks.digest(answer.json)[7:39])
    return answer.make_conditional(request)


@blueprint.get(f"{API}/tasks/<id_>/events")
@requires("account", "tasks")
@asks(Last_Event_ID="The id of the last event that was had.")
@answers(media=STREAM, problems=(429,))
def events(id_: str) -> Any:
    """A task's events `state`, `delta`, `log`, then `result` or `error`."""
    task = seen(id_)
    last = request.headers.get("Last-Event-ID", "0")
    after = int(last) if re.fullmatch(r"\d{1,15}", last) else 0
    return stream(id_, after, current().seat(tasks.agent_of(task)))


def stream(id_: str, after: int, leave: Callable[[], None]) -> Response:
    """The task's events; `leave` is called when the client has all or is gone."""
    answer = Response(follow(id_, after), mimetype=STREAM)
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(leave)
    return answer


def follow(id_: str, after: int = 0) -> Iterator[str]:
    """The task's events from the one after `after` to its end; comments between,
    so that a client that is gone is noticed."""
    quiet = clock.now()
    with current().watched(id_) as changed:
        while True:
            changed.clear()
            task = tasks.get(id_)
            for number, kind, text in tasks.events(id_, after):
                after, quiet = number, clock.now()
                yield f"id: {number}\nevent: {kind}\ndata: {text}\n\n"
            if task.state in tasks.ENDED:
                return
            if task.deadline <= clock.now():
                current().expire(id_)
            if clock.now() - quiet >= HEARTBEAT_S:
                quiet = clock.now()
                yield ": the task goes on\n\n"
            changed.wait(0.25)


@blueprint.post(f"{API}/tasks/<id_>/cancel")
@requires("user", "tasks", audited=False)
@answers(Task)
def cancel(id_: str) -> Any:
    """Cancel a task; again is harmless."""
    task = changed(id_)
    current().cancel(task)
    return jsonify(tasks.as_document(tasks.get(id_)))


@blueprint.get(f"{API}/tasks")
@requires("account", "tasks")
@asks(TasksQuery)
@answers(Tasks)
def index(query: TasksQuery) -> Any:
    """Tasks, newest first: your own, or those that you may see."""
    found = whose(query.caller, query.all)
    wish = tasks.selection(found, query.agent, query.state, query.after)
    rows, following = tasks.page(wish)
    return jsonify(tasks=[document(row) for row in rows], next=following)


@blueprint.get(f"{API}/agents")
@requires("account", "tasks", "read")
@asks(ListQuery)
@answers(Agents, headers=PAGED)
def agents(query: ListQuery) -> Any:
    """The catalogue: your agents, and those that were shared with you."""
    found = listed(known_agents(), query, columns())
    rows = [{"id": r.id, **r.body} for r in found.rows]
    return paged(jsonify(agents=rows), found)


def known_agents() -> list[state.Record]:
    """The caller's catalogue."""
    return [record for record in state.select("agent") if may_know(record.id)]


def columns() -> Columns[state.Record]:
    """What agents are sorted and filtered by."""
    states = {
        r.body["agent"]: r.body.get("state", "") for r in state.select("instance")
    }
    return {
        "name": lambda r: r.id,
        "state": lambda r: states.get(r.id, "stopped"),
        "description": lambda r: r.body.get("description", ""),
    }


@blueprint.get(f"{API}/agents/<name>")
@blueprint.get(f"{API}/agents/<owner>/<name>")
@requires("account", "tasks", "read")
@answers(AgentDetail)
def agent(name: str, owner: str | None = None) -> Any:
    """An agent with its versions, card and instances."""
    found = known_agent(name, owner)
    versions = [r.body for r in state.select("version", agent=found.id)]
    own = may_see(found.id)
    instances = state.select("instance", agent=found.id) if own else []
    running = [{"id": r.id, **r.body} for r in instances]
    card = current().card(found.id)
    members = {**found.body, "card": (card.members or None) if card else None}
    return jsonify(id=found.id, **members, versions=versions, instances=running)


@blueprint.put(f"{API}/agents/<owner>/<name>/versions/<version>")
@requires("developer")
@takes(Manifest, by_view=True)
@answers(Version, text="It was registered so before.", problems=(409, 413))
@answers(Version, 201, text="It is registered.")
def register_version(owner: str, name: str, version: str) -> Any:
    """Register a version of an agent from the manifest of its pack."""
    must_change(f"{owner}/{name}")
    withdraw.must_not_be_leaving(f"{owner}/{name}")
    owner_id = owners.account_of(owner) or g.account.id
    made, is_new = versions.register(owner_id, owner, name, version, body())
    answer = jsonify(made)
    answer.status_code = 201 if is_new else 200
    return answer


@blueprint.post(f"{API}/agents/<owner>/<name>/versions/<version>/deploy")
@requires("developer")
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def deploy_registered(owner: str, name: str, version: str) -> Any:
    """Run a registered version, an older one too, by the image that is there."""
    must_change(f"{owner}/{name}")
    made = orders.again(owner, name, version, g.account.id)
    answer = jsonify(operations.as_document(operations.get(made)))
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/operations/{made}"
    return answer
