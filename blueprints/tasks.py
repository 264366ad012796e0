"""Whose tasks a caller may see: its own, those on agents that it owns or manages, and
all of them as operator or auditor. Nobody else reads what went in and came out."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request

from appliance import state
from appliance.admin import accounts, rights
from appliance.market import tasks
from appliance.market.engine import current
from appliance.plain import harmless, pretty
from appliance.problems import Invalid, NotFound
from blueprints.access import may, may_change, not_yours, requires

blueprint = Blueprint("tasks", __name__)


def seen(id_: str) -> tasks.Task:
    """The task, if the caller may see it; else it does not exist."""
    task = tasks.get(id_)
    if g.account.id in (task.caller, task.owner) or may_follow(task):
        return task
    return tasks.get(id_, g.account.id)


def may_follow(task: tasks.Task) -> bool:
    """Whether its agent was shared with the caller for that, or all is its to see."""
    if not g.account.shares:
        return may(g.account, "auditor")
    return rights.may_follow(g.account, tasks.agent_of(task))


def may_end(task: tasks.Task) -> bool:
    own = task.owner == g.account.id and may(g.account, "developer")
    managed = bool(g.account.shares) and may_change(tasks.agent_of(task))
    ends = task.caller == g.account.id or own or managed
    return ends or may(g.account, "operator")


def changed(id_: str) -> tasks.Task:
    """The task, if the caller may end it."""
    task = seen(id_)
    if not may_end(task):
        raise not_yours(tasks.agent_of(task).partition("/")[0])
    return task


def whose(name: str, everything: str) -> Any:
    """The condition for the tasks of the account of this name, or with "1" of all,
    within what the caller may see; without either, its own."""
    if everything not in ("0", "1", ""):
        raise Invalid("all: 0 or 1.", all="not 0 or 1")
    own = tasks.of_caller(g.account.id)
    if not name and everything != "1":
        return own
    sees = None
    if not may(g.account, "auditor"):
        managed = [
            agent
            for agent, _ in g.account.shares
            if rights.may_follow(g.account, agent)
        ]
        sees = own | tasks.on_agents_of(g.account.id, *managed)
    if not name:
        return sees
    theirs = tasks.of_caller(id_of(name))
    return theirs if sees is None else theirs & sees


def id_of(name: str) -> str:
    try:
        return str(accounts.credential(name).account)
    except NotFound as problem:
        raise Invalid(f"caller: {problem.detail}", caller="unknown") from None


def document(task: tasks.Task) -> dict[str, Any]:
    """The task as the API shows it, with the name of who gave it; an account that is
    gone has only its id."""
    account = state.find("account", task.caller)
    name = account.body.get("name") if account else None
    return {**tasks.as_document(task), "caller": name or task.caller}


@blueprint.get("/market/tasks")
@requires("account", "tasks")
def index() -> Any:
    names = ("agent", "state", "caller", "all")
    asked = {name: request.args.get(name, "") for name in names}
    found: list[tasks.Task] = []
    following, wrong = None, ""
    try:
        query = tasks.selection(
            whose(asked["caller"], asked["all"]),
            asked["agent"],
            asked["state"],
            request.args.get("after", ""),
        )
        found, following = tasks.page(query)
    except Invalid as problem:
        wrong = problem.detail
    answer = render_template(
        "market/tasks.html",
        rows=[(row, document(row)) for row in found],
        asked=asked,
        wrong=wrong,
        states=tasks.STATES,
        next=following,
    )
    return (answer, 422) if wrong else answer


@blueprint.get("/market/tasks/<task>")
@requires("account", "tasks")
def task_page(task: str) -> Any:
    return render_template("market/task_page.html", **task_view(task))


@blueprint.get("/market/tasks/<task>/part")
@requires("account", "tasks")
def task_part(task: str) -> Any:
    """The task again; at its end the page's other parts are told (HX-Trigger)."""
    view = task_view(task)
    answer = make_response(render_template("market/task.html", **view))
    if not view["is_live"]:
        answer.headers["HX-Trigger"] = "task-ended"
    return answer


@blueprint.post("/market/tasks/<task>/cancel")
@requires("user", "tasks", audited=False)
def cancel_page(task: str) -> Any:
    found = changed(task)
    current().cancel(found)
    return redirect(f"/market/{tasks.agent_of(found)}?task={task}#task", 303)


def task_view(id_: str) -> dict[str, Any]:
    """A task that the caller may see, and what the agent said so far."""
    row = seen(id_)
    said = [json.loads(text) for _, kind, text in tasks.events(id_) if kind == "delta"]
    texts = [d["text"] if isinstance(d, dict) and "text" in d else d for d in said]
    request_ = json.loads(row.request)
    return {
        "task": document(row),
        "may_cancel": may_end(row),
        "created": row.created,
        "input": pretty(request_["input"]),
        "streamed": harmless(
            "".join(t if isinstance(t, str) else f"{t}\n" for t in texts)
        ),
        "is_live": row.state not in tasks.ENDED,
    }
