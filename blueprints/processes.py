"""Processes and engines: what they use and are connected to, acts, limits."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, render_template, request

from appliance.admin import connections, limiting, processes
from appliance.admin.programs import known
from appliance.config import settings
from appliance.problems import Invalid
from appliance.provisions import Limits
from blueprints import charting
from blueprints.access import requires
from blueprints.acts import asked, follow, told
from blueprints.contract import LOCATION, answers, takes
from blueprints.shapes.operations import Operation
from blueprints.shapes.services import LimitsWish, ProcessEntry, Processes
from blueprints.vmm import accepted

blueprint = Blueprint("processes", __name__)
API = "/api/v1/admin/processes"
LIMITS = (
    ("cpu_percent", "CPU", "percent of one core"),
    ("memory_mib", "Memory", "MiB"),
    ("files", "Open files", "in each of its processes"),
    ("tasks", "Tasks", "threads of all its processes"),
)


@blueprint.get(API)
@requires("auditor")
@answers(Processes)
def listed() -> Any:
    """Processes and engines with what they use and are connected to."""
    return jsonify(processes.report(settings()))


@blueprint.get(f"{API}/<name>")
@requires("auditor")
@answers(ProcessEntry, problems=(404,))
def show(name: str) -> Any:
    """One process with its limits and connections."""
    return jsonify(processes.one(settings(), name))


@blueprint.post(f"{API}/<name>/<verb>")
@requires("operator")
@answers(Operation, 202, headers=LOCATION, problems=(404, 409))
def act(name: str, verb: str) -> Any:
    """Start, stop, restart, reload, enable or disable a process or engine."""
    return accepted(processes.request(name, verb, g.account.id))


@blueprint.put(f"{API}/<name>/limits")
@requires("operator")
@takes(LimitsWish)
@answers(Operation, 202, headers=LOCATION, problems=(404, 409))
def limit(name: str, body: LimitsWish) -> Any:
    """Hold a process to limits, now and after each of its starts; 0 is none."""
    limits = Limits(**body.model_dump())
    return accepted(limiting.request(name, limits, g.account.id))


@blueprint.delete(f"{API}/<name>/connections/<connection>")
@requires("operator")
@answers(Operation, 202, headers=LOCATION, problems=(404,))
def close(name: str, connection: str) -> Any:
    """Close a connection, by the id that the list of connections gives it."""
    return accepted(connections.request(name, connection, g.account.id))


@blueprint.get("/processes/<name>")
@requires("auditor")
def page(name: str) -> Any:
    return shown(name, {}, {})


def shown(name: str, form: dict[str, str], errors: dict[str, str]) -> str:
    found = processes.one(settings(), name)
    return render_template(
        "services/process.html",
        process=found,
        limits=LIMITS,
        holds=processes.report(settings())["holds"],
        form=form or {key: value or "" for key, value in found["limits"].items()},
        errors=errors,
        **charting.shown(charting.of_process(name)),
    )


@blueprint.post("/processes/<name>/limits")
@requires("operator")
def limit_page(name: str) -> Any:
    """An empty field is no limit."""
    form = {key: request.form.get(key, "").strip() for key, _, _ in LIMITS}
    try:
        limits = Limits(**{key: number(key, text) for key, text in form.items()})
        return follow(limiting.request(name, limits, g.account.id))
    except Invalid as problem:
        return shown(name, form, problem.members["errors"]), 422


def number(name: str, text: str) -> int:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 12):
        sentence = f"{text[:40]!r}: a whole number, or nothing for no limit."
        raise Invalid(f"{name} {sentence}", **{name: sentence})
    return int(text or 0)


@blueprint.post("/processes/<name>/connections/<connection>/close")
@requires("operator")
def close_page(name: str, connection: str) -> Any:
    return follow(connections.request(name, connection, g.account.id))


@blueprint.get("/processes/<name>/<verb>")
@requires("operator")
def confirm(name: str, verb: str) -> Any:
    program = known(settings(), name)
    return asked("processes", name, verb, program.title, program.without)


@blueprint.post("/processes/<name>/<verb>")
@requires("operator")
def act_page(name: str, verb: str) -> Any:
    id_ = g.account.id
    return told("processes", name, verb, lambda: processes.request(name, verb, id_))
