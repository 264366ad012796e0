"""The machine's own settings: time zone, host name, network, SSH keys."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance import clock
from appliance.admin.machine import changing, facts
from appliance.admin.machine.wish import Wish, checked
from appliance.config import settings
from appliance.problems import Invalid, Problem, Unavailable
from blueprints.access import requires
from blueprints.acts import follow
from blueprints.contract import LOCATION, answers, takes
from blueprints.proof import must_be_proved
from blueprints.shapes.machine import Kept, Machine, MachineWish
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("machine", __name__)
API = "/api/v1/admin/machine"


def report() -> facts.Document:
    """How the machine is set, and how long a changed network still waits."""
    until = changing.pending(settings())
    left = None if until is None else max(0, int(until - clock.now()))
    return {**facts.report(settings()), "pending_s": left}


@blueprint.get(API)
@requires("operator")
@answers(Machine, problems=(503,))
def show() -> Any:
    """How the machine itself is set."""
    return jsonify(report())


@blueprint.patch(API)
@requires("operator")
@takes(MachineWish)
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def change(body: MachineWish) -> Any:
    """Change the machine's settings, on the appliance."""
    return accepted(submit(checked(body.model_dump(exclude_none=True))))


@blueprint.post(f"{API}/keep")
@requires("operator")
@answers(Kept, problems=(409,))
def keep() -> Any:
    """Keep a changed network, which returns by itself else."""
    changing.keep(settings())
    return jsonify(kept=True)


def submit(wish: Wish) -> str:
    if wish.ssh_keys:
        must_be_proved("let somebody log in as root")
    return changing.request(wish, g.account.id)


@blueprint.get("/admin/machine")
@requires("operator")
def page() -> Any:
    return shown({}, {}, 200)


def shown(form: dict[str, str], errors: dict[str, str], status: int) -> Any:
    try:
        found, why = report(), ""
    except Unavailable as problem:
        found, why = {}, problem.detail
    return render_template(
        "admin/machine.html",
        machine=found,
        why=why,
        elsewhere=changing.ELSEWHERE,
        form={**proposed(found), **form},
        errors=errors,
        zones=sorted(available_timezones()),
    ), status


def proposed(found: facts.Document) -> dict[str, str]:
    """The form as the machine is."""
    if not found:
        return {}
    network = found["network"]
    return {
        "time_zone": found["time_zone"],
        "host_name": found["host_name"],
        "method": network["method"],
        "interface": network["interface"],
        "address": network["address"] or "",
        "gateway": network["gateway"] or "",
        "dns": ", ".join(network["dns"]),
    }


@blueprint.post("/admin/machine")
@requires("operator")
def change_page() -> Any:
    """One of the page's forms; what is wrong is said beside its field."""
    try:
        return follow(submit(checked(answers_of(request.form))))
    except Invalid as problem:
        found = {**problem.members["errors"], "": problem.detail}
        return shown(dict(request.form), short(found), 422)
    except Problem as problem:
        if problem.status != 409:
            raise
        return shown(dict(request.form), {"": problem.detail}, 409)


def short(errors: dict[str, str]) -> dict[str, str]:
    """By the name of the form's field: `network.dns.0` is `dns`."""
    return {
        name.removeprefix("network.").split(".")[0]: t for name, t in errors.items()
    }


def answers_of(form: Any) -> dict[str, Any]:
    """The form as a wish; an empty field is one that is left out."""
    wish: dict[str, Any] = {}
    for name in ("time_zone", "host_name"):
        if form.get(name, "").strip():
            wish[name] = form[name].strip()
    if form.get("method"):
        wish["network"] = network_of(form)
    if "ssh_keys" in form:
        wish["ssh_keys"] = [ln for ln in form["ssh_keys"].splitlines() if ln.strip()]
    return wish


def network_of(form: Any) -> dict[str, Any]:
    names = form.get("dns", "").replace(",", " ").split()
    found: dict[str, Any] = {"method": form["method"], "dns": names}
    # what was typed for the other way is no mistake
    fixed = ("address", "gateway") if form["method"] != "dhcp" else ()
    for name in ("interface", *fixed):
        if form.get(name, "").strip():
            found[name] = form[name].strip()
    return found


@blueprint.post("/admin/machine/keep")
@requires("operator")
def keep_page() -> Any:
    try:
        changing.keep(settings())
    except Problem as problem:
        return shown({}, {"": problem.detail}, problem.status)
    return redirect("/admin/machine", 303)
