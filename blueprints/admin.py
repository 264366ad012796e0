"""Log-in and the dashboard."""

from __future__ import annotations

from typing import Any

import psutil
from flask import (
    Blueprint,
    Response,
    g,
    jsonify,
    redirect,
    render_template,
    request,
)

from appliance import events, operations, state
from appliance.admin import accounts, sessions, setup
from appliance.config import settings
from appliance.problems import Problem
from appliance.service import read_status, services
from blueprints.access import (
    COOKIE,
    may,
    may_see,
    may_see_operation,
    public,
    remote_address,
    requires,
    start_session,
)

blueprint = Blueprint("admin", __name__)


@blueprint.get("/login")
@public
def login() -> Any:
    if not setup.is_done(settings()):
        return redirect("/setup/")
    return render_template("admin/login.html", error="", name="")


@blueprint.post("/login")
@public
def log_in() -> Any:
    name = request.form.get("name", "").strip().lower()
    if accounts.exists(name):  # else it may be a password, typed in the wrong field
        g.tried = name
    try:
        password = request.form.get("password", "")
        account = accounts.log_in(name, password, remote_address())
    except Problem as problem:
        page = render_template("admin/login.html", error=problem.detail, name=name)
        return page, problem.status
    answer = Response(status=303, headers={"Location": "/"})
    start_session(answer, account)
    return answer


@blueprint.post("/logout")
@requires("account", "admin")
def log_out() -> Any:
    sessions.end(request.cookies.get(COOKIE, ""))
    answer = Response(status=303, headers={"Location": "/login"})
    answer.delete_cookie(COOKIE)
    return answer


@blueprint.get("/")
@requires("account")
def dashboard() -> Any:
    if not setup.is_done(settings()):
        return redirect("/setup/")
    return render_template("admin/dashboard.html", **overview())


@blueprint.get("/overview")
@requires("account")
def overview_part() -> Any:
    return render_template("admin/overview.html", **overview())


def overview() -> dict[str, Any]:
    found = [r for r in state.select("instance") if may_see(r.body.get("owner_name"))]
    running = [o for o in operations.recent(20, live=True) if may_see_operation(o)]
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(settings().data_dir))
    return {
        "instances": found,
        "healthy": sum(r.body["state"] == "healthy" for r in found),
        "services": [(s, read_status(settings(), s)) for s in services().values()],
        "running": [operations.as_document(o) for o in running[:3]],
        "events": lately({record.id for record in found})[:8],
        "cpu": psutil.cpu_percent(),
        "cpus": psutil.cpu_count(),
        "memory": memory,
        "disk": disk,
    }


def lately(instances: set[str]) -> list[events.Event]:
    """What happened: all of it, or what concerns the caller's own."""
    if may(g.account, "auditor"):
        return events.lately(8)
    own = f"{g.account.name}/"
    return [
        event
        for event in events.lately(100)
        if event.subject in instances or event.subject.startswith(own)
    ]


@blueprint.get("/healthz")
@public
def healthz() -> Any:
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def readyz() -> Any:
    state.select("node")
    return jsonify(status="ok")
