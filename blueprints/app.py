"""The app: its rooms, its error pages, what every answer carries."""

from __future__ import annotations

import contextlib
from functools import partial
from importlib import import_module
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, render_template, request
from flask_htmx import HTMX
from peewee import OperationalError
from werkzeug.exceptions import HTTPException

from appliance import clock
from appliance.admin import setup
from appliance.config import settings
from appliance.problems import DiskFull, Problem, Unavailable, is_disk_full
from appliance.service import plugins
from blueprints import (
    access,
    audit,
    authentication,
    counting,
    proof,
    tracing,
    words,
)
from blueprints.ingress import behind_caddy

ROOMS = (
    "setup",
    "admin",
    "dashboard",
    "live",
    "operations",
    "pack",
    "vmm",
    "market",
    "agents",
    "catalogue",
    "tasks",
    "dns",
    "formnet",
    "state",
    "processes",
    "services",
    "navigation",
    "storage",
    "machine",
    "settings",
    "logs",
    "metrics",
    "audit",
    "alerts",
    "repairs",
    "support",
    "accounts",
    "account",
    "second_factor",
    "proof",
    "personal",
    "secrets",
    "shares",
    "reference",
)
DRAIN_S, DRAIN_BYTES, PIECE = 2.0, 16 << 20, 64 << 10
FULL = (
    "The node's disk is full; nothing was changed. Free some of it: form pack collect "
    "--all, or delete instances; form storage shows what takes it."
)
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), usb=()",
}


def create_app() -> Flask:
    """The whole app; gunicorn runs it as formation-web and formation-gateway."""
    app = Flask(
        __name__, template_folder="../templates", static_folder="../templates/static"
    )
    app.config["MAX_FORM_MEMORY_SIZE"] = 4 << 20  # a Formfile may have 1 MiB
    app.config["MAX_FORM_PARTS"] = 100_000  # a folder is sent file by file
    HTMX(app)
    for name in ROOMS:
        app.register_blueprint(import_module(f"blueprints.{name}").blueprint)
    for blueprint in plugins("formation.blueprints").values():
        app.register_blueprint(blueprint)
    vars(app.view_functions["static"])["access"] = "public"
    app.register_error_handler(Problem, show_problem)
    app.register_error_handler(HTTPException, show_http)
    app.register_error_handler(OperationalError, show_database)
    app.register_error_handler(OSError, show_disk)
    app.before_request(tracing.begin)
    app.before_request(access.refuse_other_names)
    app.before_request(bound_body)
    app.before_request(access.refuse_other_sites)
    app.after_request(harden)
    app.after_request(audit.note)
    app.after_request(tracing.end)
    app.after_request(counting.count)
    app.teardown_request(authentication.forget_body)
    app.context_processor(context)
    app.context_processor(navigate)
    app.jinja_env.filters.update(words.FILTERS)
    vars(app)["log_exception"] = tracing.bug
    vars(app)["wsgi_app"] = behind_caddy(app.wsgi_app)
    return app


def bound_body() -> None:
    """As the setting is now: a reload may change it."""
    if current_app.config["MAX_CONTENT_LENGTH"] is None:
        request.max_content_length = settings().http.max_upload_mib << 20


def context() -> dict[str, Any]:
    return {
        "csrf": g.get("csrf", ""),
        "account": g.get("account"),
        "may": lambda role: access.may(g.account, role),
        "may_see": access.may_see,
        "may_change": access.may_change,
        "may_call": access.may_call,
    }


def navigate() -> dict[str, Any]:
    from blueprints import navigation

    return {"node_head": navigation.head, "navigation": navigation.groups}


def is_api() -> bool:
    accepted = request.headers.get("Accept", "")
    return request.path.startswith(access.PROGRAMS) or "json" in accepted


def show_problem(problem: Problem) -> Response:
    """The problem document, or the same sentence as a page."""
    if isinstance(problem, proof.ProofNeeded) and not is_api():
        return proof.show(problem)
    if is_api():
        answer = jsonify(problem.document())
        answer.mimetype = "application/problem+json"
    else:
        page = render_template(
            "ui/problem.html", problem=problem, request_id=g.get("request_id")
        )
        answer = Response(page)
    answer.status_code = problem.status
    if problem.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if problem.status == 413:  # what was not read must not be taken for a request
        answer.headers["Connection"] = "close"
        answer.call_on_close(partial(drain, request.environ["wsgi.input"]))
    if problem.retry_after is not None:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


def drain(rest: Any) -> None:
    """Read on for a moment once the answer is out: who still sends when the connection
    closes, as Caddy does, may never see it."""
    end = clock.now() + DRAIN_S
    with contextlib.suppress(OSError, ValueError, HTTPException):
        for _ in range(DRAIN_BYTES // PIECE):
            if clock.now() > end or not rest.read(PIECE):
                return


def show_http(error: HTTPException) -> Response:
    code = error.code or 500
    if code < 400 and error.response is not None:
        return Response(status=code, headers=dict(error.response.headers))
    names = {413: "too-large", 404: "not-found", 405: "method-not-allowed"}
    name = names.get(code, "bad-request" if code < 500 else "internal-error")
    text = error.description or error.name
    if code == 413:
        most = settings().http.max_upload_mib
        text = f"At most {most} MiB can be sent at once; leave out what is not needed."
    return show_problem(Problem(name, text, status=code))


def show_database(error: OperationalError) -> Response:
    if is_disk_full(error):
        return show_problem(DiskFull(FULL))
    return show_problem(
        Unavailable(
            "database-busy",
            f"The node's database cannot be used now ({error}); nothing was changed. "
            "Try again in a moment; form logs web says more.",
        )
    )


def show_disk(error: OSError) -> Response:
    if not is_disk_full(error):
        raise error
    return show_problem(DiskFull(FULL))


def harden(answer: Response) -> Response:
    answer.headers.update(HEADERS)
    if not request.path.startswith("/static/"):
        answer.headers["Cache-Control"] = "no-store"
    return answer


def is_set_up() -> bool:
    return setup.is_done(settings())
