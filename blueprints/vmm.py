"""Instances: the list, one of them, and what can be done with it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template

from appliance import dns, operations, state, vmm
from appliance.config import settings
from appliance.problems import NotFound
from blueprints.access import may_see, must_change, must_see, requires

blueprint = Blueprint("vmm", __name__)
VERBS = ("start", "stop", "reboot", "delete")


def record(id_: str) -> state.Record:
    found = state.find("instance", id_)
    if found is None:
        raise NotFound("instance-unknown", f"There is no instance {id_}.")
    return found


def seen(id_: str) -> state.Record:
    """The instance, if its owner's things are for the caller to see."""
    found = record(id_)
    must_see(found.body.get("owner_name"))
    return found


def visible() -> list[state.Record]:
    return [r for r in state.select("instance") if may_see(r.body.get("owner_name"))]


def document(found: state.Record) -> dict[str, Any]:
    return {"id": found.id, **found.body}


@blueprint.get("/vmm/")
@requires("account")
def index() -> Any:
    return render_template("vmm/index.html", instances=visible())


@blueprint.get("/vmm/<id_>")
@requires("account")
def page(id_: str) -> Any:
    return render_template(
        "vmm/instance.html",
        instance=seen(id_),
        zone=dns.apex(settings()),
        console=vmm.console_tail(id_, 60),
    )


@blueprint.get("/vmm/<id_>/console")
@requires("account")
def console_part(id_: str) -> Any:
    seen(id_)
    return render_template("vmm/console.html", console=vmm.console_tail(id_, 60))


@blueprint.post("/vmm/<id_>/<any(start,stop,reboot,delete):verb>")
@requires("developer")
def act_page(id_: str, verb: str) -> Any:
    return redirect(f"/operations/{submit(id_, verb)}", 303)


@blueprint.get("/api/v1/vmm/instances")
@requires("account")
def instances() -> Any:
    return jsonify(instances=[document(r) for r in visible()])


@blueprint.get("/api/v1/vmm/instances/<id_>")
@requires("account")
def instance(id_: str) -> Any:
    return jsonify(document(seen(id_)))


@blueprint.get("/api/v1/vmm/instances/<id_>/console")
@requires("account")
def console(id_: str) -> Any:
    seen(id_)
    return jsonify(lines=vmm.console_tail(id_, 500))


@blueprint.post("/api/v1/vmm/instances/<id_>/<any(start,stop,reboot):verb>")
@requires("developer")
def act(id_: str, verb: str) -> Any:
    return accepted(submit(id_, verb))


@blueprint.delete("/api/v1/vmm/instances/<id_>")
@requires("developer")
def delete(id_: str) -> Any:
    return accepted(submit(id_, "delete"))


def submit(id_: str, verb: str) -> str:
    found = record(id_)
    must_change(found.body.get("owner_name"))
    return operations.submit(
        verb,
        title=f"{verb} {found.body['name']}",
        subject=id_,
        params={},
        account=g.account.id,
    )


def accepted(operation: str) -> Any:
    answer = jsonify(operations.as_document(operations.get(operation)))
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/operations/{operation}"
    return answer
