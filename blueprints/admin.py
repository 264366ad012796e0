"""Log-in and the dashboard."""

from __future__ import annotations

from typing import Any

import psutil
from flask import Blueprint, Response, jsonify, redirect, render_template, request

from appliance import events, operations, state
from appliance.admin import accounts, setup
from appliance.config import settings
from appliance.problems import Problem
from appliance.service import read_status, services
from blueprints.access import COOKIE, public, remote_address, requires

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
    name = request.form.get("name", "")
    try:
        account = accounts.log_in(
            name, request.form.get("password", ""), remote_address()
        )
    except Problem as problem:
        events.audit(name[:64], remote_address(), "login", "", "refused")
        page = render_template("admin/login.html", error=problem.detail, name=name)
        return page, problem.status
    events.audit(account.name, remote_address(), "login", "", "done")
    token = accounts.open_session(
        account, remote_address(), request.headers.get("User-Agent", "")
    )
    answer = Response(status=303, headers={"Location": "/"})
    answer.set_cookie(
        COOKIE, token, httponly=True, samesite="Lax", secure=request.is_secure
    )
    return answer


@blueprint.post("/logout")
@requires("account")
def log_out() -> Any:
    accounts.close_session(request.cookies.get(COOKIE, ""))
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
    found = state.select("instance")
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(settings().data_dir))
    return {
        "instances": found,
        "healthy": sum(r.body["state"] == "healthy" for r in found),
        "services": [(s, read_status(settings(), s)) for s in services().values()],
        "running": [operations.as_document(o) for o in operations.recent(3, live=True)],
        "events": events.lately(8),
        "cpu": psutil.cpu_percent(),
        "cpus": psutil.cpu_count(),
        "memory": memory,
        "disk": disk,
    }


@blueprint.get("/healthz")
@public
def healthz() -> Any:
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def readyz() -> Any:
    state.select("node")
    return jsonify(status="ok")


@blueprint.post("/api/v1/admin/tokens")
@requires("account")
def create_token() -> Any:
    from flask import g

    body = request.get_json(silent=True) or {}
    token = accounts.new_token(g.account, str(body.get("name", "")))
    return jsonify(token=token), 201
