"""Repairs: what is wrong with the node, what mends it, and what is ignored."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request

from appliance import clock
from appliance.admin.repairs import kept, mending
from appliance.admin.repairs.kept import Found
from appliance.admin.support import shelf
from appliance.config import settings
from appliance.problems import Problem
from blueprints import live
from blueprints.access import may, must_see, requires
from blueprints.acts import follow
from blueprints.broadcast import Update
from blueprints.contract import LOCATION, answers, takes
from blueprints.shapes.operations import Operation
from blueprints.shapes.repairs import FixWish, IgnoreWish, Repair, Repairs
from blueprints.vmm import accepted

blueprint = Blueprint("repairs", __name__)
API = "/api/v1/admin/repairs"
PARTS = ("answer", "list", "checks", "support")


def shown() -> dict[str, Any]:
    found = kept.found()
    return {
        "open": [row for row in found if not row.is_ignored],
        "ignored": [row for row in found if row.is_ignored],
        "looks": kept.looks(),
        "bundles": shelf.bundles(settings()) if may(g.account, "operator") else [],
    }


@blueprint.get("/repairs/")
@requires("auditor")
def page() -> Any:
    return render_template("repairs/index.html", **shown())


@live.view("repairs", lambda subject: must_see(None))
def update(subject: str) -> Update:
    return Update(live.fragments("repairs", PARTS, shown(), prefix="repairs-"))


@blueprint.post("/repairs/check")
@requires("operator")
def check_page() -> Any:
    return follow(mending.request_look(g.account.id))


@blueprint.get("/repairs/<id_>")
@requires("auditor")
def repair_page(id_: str) -> Any:
    return render_template("repairs/repair.html", repair=kept.get(id_), error="")


@blueprint.post("/repairs/<id_>/fix")
@requires("operator")
def fix_page(id_: str) -> Any:
    """What loses something asks first: its page, which sends `confirm`."""
    found = kept.get(id_)
    if found.loses and "confirm" not in request.form:
        return redirect(f"/repairs/{id_}", 303)
    try:
        return follow(mending.request(id_, g.account.id, "confirm" in request.form))
    except Problem as problem:
        page = render_template(
            "repairs/repair.html", repair=found, error=problem.detail
        )
        return Response(page, status=problem.status)


@blueprint.post("/repairs/<id_>/ignore")
@requires("operator")
def ignore_page(id_: str) -> Any:
    try:
        kept.ignore(id_, g.account.name, request.form.get("why", ""))
    except Problem as problem:
        row = kept.get(id_)
        page = render_template("repairs/repair.html", repair=row, error=problem.detail)
        return Response(page, status=problem.status)
    return redirect("/repairs/", 303)


@blueprint.post("/repairs/<id_>/heed")
@requires("operator")
def heed_page(id_: str) -> Any:
    kept.heed(id_)
    return redirect("/repairs/", 303)


def document(row: Found) -> dict[str, Any]:
    plain = ("id", "subject", "severity", "title", "text", "cure", "loses")
    return {
        **{key: getattr(row, key) for key in plain},
        "check": row.name,
        "fix": row.button or None,
        "link": row.link or None,
        "since": clock.rfc3339(row.since),
        "ignored": {
            "by": row.ignored_by,
            "why": row.ignored_why,
            "since": clock.rfc3339(row.ignored_at),
        }
        if row.is_ignored
        else None,
    }


@blueprint.get(API)
@requires("auditor")
@answers(Repairs)
def index() -> Any:
    """What is wrong with the node, the worst first, and when the checks looked."""
    return jsonify(
        repairs=[document(row) for row in kept.found()],
        checks=[
            {
                "name": look.name,
                "title": look.title,
                "looked": clock.rfc3339(look.looked),
                "trouble": look.trouble,
            }
            for look in kept.looks()
        ],
    )


@blueprint.post(f"{API}/check")
@requires("operator")
@answers(Operation, 202, headers=LOCATION)
def check() -> Any:
    """Let all checks look now, as an operation."""
    return accepted(mending.request_look(g.account.id))


@blueprint.get(f"{API}/<id_>")
@requires("auditor")
@answers(Repair)
def show(id_: str) -> Any:
    """One of the repairs."""
    return jsonify(document(kept.get(id_)))


@blueprint.post(f"{API}/<id_>/fix")
@requires("operator")
@takes(FixWish, optional=True)
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def fix(id_: str, body: FixWish) -> Any:
    """Let the node mend it, as an operation that looks whether it helped."""
    return accepted(mending.request(id_, g.account.id, body.confirm))


@blueprint.put(f"{API}/<id_>/ignored")
@requires("operator")
@takes(IgnoreWish, optional=True)
@answers(Repair)
def ignore(id_: str, body: IgnoreWish) -> Any:
    """Say no more of it until it changes."""
    return jsonify(document(kept.ignore(id_, g.account.name, body.why)))


@blueprint.delete(f"{API}/<id_>/ignored")
@requires("operator")
@answers(Repair)
def heed(id_: str) -> Any:
    """Say it again."""
    return jsonify(document(kept.heed(id_)))
