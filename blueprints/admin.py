"""Log-in, and whether the node answers."""

from __future__ import annotations

from typing import Any

from flask import (
    Blueprint,
    Response,
    g,
    jsonify,
    redirect,
    render_template,
    request,
)

from appliance import state
from appliance.admin import accounts, second_factor, sessions, setup
from appliance.config import settings
from appliance.problems import Problem
from blueprints.access import (
    COOKIE,
    cookie,
    public,
    remote_address,
    requires,
    session_token,
    start_session,
)
from blueprints.contract import answers
from blueprints.shapes import Alive

blueprint = Blueprint("admin", __name__)
PENDING = "formation-login"


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
    if second_factor.is_on(account.id):
        return ask_for_code(account.id)
    answer = Response(status=303, headers={"Location": "/"})
    start_session(answer, account)
    return answer


def ask_for_code(account: str) -> Response:
    """The log-in's second step; nothing but it is open yet."""
    answer = Response(status=303, headers={"Location": "/login/code"})
    answer.set_cookie(
        pending_cookie(),
        second_factor.wait_for_code(account),
        max_age=int(second_factor.PENDING_S),
        path="/login",
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return answer


def pending_cookie() -> str:
    return cookie(PENDING, "__Secure-")


def pending() -> accounts.Account | None:
    id_ = second_factor.waiting(request.cookies.get(pending_cookie(), ""))
    return accounts.find(id_) if id_ else None


@blueprint.get("/login/code")
@public
def code() -> Any:
    if pending() is None:
        return redirect("/login")
    return render_template("admin/code.html", error="")


@blueprint.post("/login/code")
@public
def log_in_by_code() -> Any:
    account = pending()
    if account is None:
        return redirect("/login", 303)
    g.tried = account.name
    try:
        code = request.form.get("code", "")
        second_factor.check(account.id, account.name, code, remote_address())
    except Problem as problem:
        return render_template("admin/code.html", error=problem.detail), problem.status
    second_factor.forget(request.cookies.get(pending_cookie(), ""))
    answer = Response(status=303, headers={"Location": "/"})
    answer.delete_cookie(
        pending_cookie(), path="/login", secure=request.is_secure, httponly=True
    )
    start_session(answer, account)
    return answer


@blueprint.post("/logout")
@requires("account", "admin")
def log_out() -> Any:
    """And nothing of what was seen stays in the browser."""
    sessions.end(session_token())
    answer = Response(status=303, headers={"Location": "/login"})
    answer.delete_cookie(cookie(COOKIE), secure=request.is_secure, httponly=True)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@blueprint.get("/healthz")
@public
@answers(Alive)
def healthz() -> Any:
    """Whether the process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
@answers(Alive, problems=(503,))
def readyz() -> Any:
    """Whether the node can read its records."""
    state.select("node")
    return jsonify(status="ok")
