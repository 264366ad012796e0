"""Instances: the list, one of them, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, g, jsonify, redirect, render_template
from pydantic import ValidationError

from appliance import clock, dns, metrics, operations, state, vmm
from appliance.admin.attention import answer
from appliance.config import settings
from appliance.market import lifecycle
from appliance.problems import NotFound
from blueprints import charting, live
from blueprints.access import may_see, must_change, must_see, requires
from blueprints.broadcast import Update
from blueprints.contract import LOCATION, answers, asks, invalid, read_query
from blueprints.lists import PAGED, Columns, ListQuery, PageQuery, paged
from blueprints.lists import Page as ListPage
from blueprints.lists import listed as part_of
from blueprints.shapes.machines import Gpus, Instances, Lines
from blueprints.shapes.market import InstanceRecord
from blueprints.shapes.operations import After, Operation

blueprint = Blueprint("vmm", __name__)
LINES, SHOWN = 500, 60
VERBS = ("start", "stop", "reboot", "delete")
COLUMNS: Columns[state.Record] = {
    "agent": lambda r: r.body.get("agent"),
    "state": lambda r: r.body.get("state"),
    "address": lambda r: r.body.get("address"),
    "version": lambda r: r.body.get("version"),
    "memory_mib": lambda r: r.body.get("memory_mib"),
}


def record(id_: str) -> state.Record:
    found = state.find("instance", id_)
    if found is None:
        raise NotFound("instance-unknown", f"There is no instance {id_}.")
    return found


def seen(id_: str) -> state.Record:
    """The instance, if its owner's things are for the caller to see."""
    found = record(id_)
    must_see(found.body.get("agent"))
    return found


def visible() -> list[state.Record]:
    return [r for r in state.select("instance") if may_see(r.body.get("agent"))]


def listed_by(query: ListQuery) -> ListPage[state.Record]:
    return part_of(visible(), query, COLUMNS)


def document(found: state.Record) -> dict[str, Any]:
    return {"id": found.id, **found.body}


@blueprint.get("/vmm/")
@requires("account")
def index() -> Any:
    query = read_query(PageQuery)
    asked = urlencode(query.model_dump(exclude_unset=True))
    return render_template("vmm/index.html", asked=asked, **listed(query))


@live.view("instances")
def update_index(subject: str) -> Update:
    """The subject is what part of the list is asked for, as the page's query."""
    now = listed(asked_by(subject))
    return Update(live.fragments("vmm", ("list_answer", "list"), now))


def asked_by(subject: str) -> PageQuery:
    try:
        return PageQuery.model_validate(dict(parse_qsl(subject)))
    except ValidationError as error:
        raise invalid(PageQuery, error) from None


def listed(query: ListQuery) -> dict[str, Any]:
    found, latest = visible(), metrics.latest(clock.now())
    return {
        "known": len(found),
        "page": part_of(found, query, measured_columns(latest), "/vmm/"),
        "answer": answer([record.body for record in found]),
        "latest": latest,
    }


def measured_columns(
    latest: Mapping[tuple[str, str], metrics.Point],
) -> Columns[state.Record]:
    """Also by what was measured."""

    def value(metric: str) -> Callable[[state.Record], float | None]:
        def of(record: state.Record) -> float | None:
            point = latest.get((record.id, metric))
            return point.value if point else None

        return of

    return {**COLUMNS, **{name: value(name) for name in ("cpu", "memory", "tasks")}}


@blueprint.get("/vmm/<id_>")
@requires("account")
def page(id_: str) -> Any:
    now, working = shown(id_), lifecycle.at_work(id_)
    on = now["instance"].body.get("desired") == "running"
    return render_template(
        "vmm/instance.html",
        zone=dns.apex(settings()),
        busy=working[-1] if working else None,
        verbs=("reboot", "stop") if on else ("start",),
        **{**now, **charting.shown(charting.of_instance(id_))},
    )


@live.view("instance", seen)
def update(id_: str) -> Update:
    now = shown(id_)
    fragments = live.fragments("vmm", ("answer", "guest_agent", "log", "console"), now)
    return Update(fragments, live.points(id_))


def shown(id_: str) -> dict[str, Any]:
    """What changes on an instance's page."""
    text, _ = vmm.console_after(id_, None)
    return {
        "instance": seen(id_),
        "log": vmm.agent_lines(text).splitlines()[-SHOWN:],
        "console": text.splitlines()[-SHOWN:],
        "latest": metrics.latest(clock.now()),
    }


@blueprint.get("/vmm/<id_>/delete")
@requires("developer")
def delete_page(id_: str) -> Any:
    """Asks whether to; a page of its own, so that it works without JavaScript."""
    found = seen(id_)
    must_change(found.body.get("agent"))
    return render_template("vmm/delete.html", instance=found)


@blueprint.post("/vmm/<id_>/<any(start,stop,reboot,delete):verb>")
@requires("developer")
def act_page(id_: str, verb: str) -> Any:
    return redirect(f"/operations/{submit(id_, verb)}", 303)


@blueprint.get("/api/v1/vmm/instances")
@requires("account")
@asks(ListQuery)
@answers(Instances, headers=PAGED)
def instances(query: ListQuery) -> Any:
    """Instances that you may see."""
    found = listed_by(query)
    return paged(jsonify(instances=[document(r) for r in found.rows]), found)


@blueprint.get("/api/v1/vmm/instances/<id_>")
@requires("account")
@answers(InstanceRecord)
def instance(id_: str) -> Any:
    """An instance."""
    return jsonify(document(seen(id_)))


@blueprint.get("/api/v1/vmm/instances/<id_>/console")
@requires("account")
@asks(After)
@answers(Lines)
def console(id_: str, query: After) -> Any:
    """What the machine's console showed; `after` goes on where an answer ended."""
    seen(id_)
    return jsonify(part(id_, "console", query.after))


@blueprint.get("/api/v1/vmm/instances/<id_>/log")
@requires("account")
@asks(After)
@answers(Lines)
def log(id_: str, query: After) -> Any:
    """What the agent printed; `after` goes on where an earlier answer ended."""
    seen(id_)
    return jsonify(part(id_, "log", query.after))


@blueprint.get("/api/v1/vmm/gpus")
@requires("account")
@answers(Gpus)
def gpus() -> Any:
    """The node's GPUs; who holds one is told to those who may see that."""
    return jsonify(gpus=seen_gpus())


def seen_gpus() -> list[dict[str, Any]]:
    """The node's GPUs; who holds one is told to those who may see that instance."""
    private = ("instance", "agent", "owner_name")
    return [
        gpu if may_see(gpu["agent"]) else {**gpu, **dict.fromkeys(private)}
        for gpu in vmm.gpus()
    ]


def part(id_: str, what: str, after: int | None) -> dict[str, Any]:
    """Lines of console or agent's log, and where the next part begins."""
    text, end = vmm.console_after(id_, after)
    lines = (vmm.agent_lines(text) if what == "log" else text).splitlines()
    return {"lines": lines if after is not None else lines[-LINES:], "next": end}


@blueprint.post("/api/v1/vmm/instances/<id_>/<any(start,stop,reboot):verb>")
@requires("developer")
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def act(id_: str, verb: str) -> Any:
    """Start, stop or reboot an instance."""
    return accepted(submit(id_, verb))


@blueprint.delete("/api/v1/vmm/instances/<id_>")
@requires("developer")
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def delete(id_: str) -> Any:
    """Delete an instance, its disk with it."""
    return accepted(submit(id_, "delete"))


def submit(id_: str, verb: str) -> str:
    found = record(id_)
    must_change(found.body.get("agent"))
    return lifecycle.request(id_, verb, g.account.id)


def accepted(operation: str) -> Any:
    answer = jsonify(operations.as_document(operations.get(operation)))
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/operations/{operation}"
    return answer
