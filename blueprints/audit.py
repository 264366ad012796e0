"""The audit log: every change and every refused attempt, noted in one place.

Rows hold who, from where, which route, on what, and how it ended; never a body,
and never what stands in a link that sets a password.
"""

from __future__ import annotations

import re
from typing import Any

import structlog
from flask import Blueprint, Response, current_app, g, jsonify, render_template, request
from peewee import PeeweeException

from appliance import clock, events
from blueprints.access import SAFE, remote_address, requires
from blueprints.contract import answers
from blueprints.shapes.admin import Audit

blueprint = Blueprint("audit", __name__)
log = structlog.get_logger()
ROWS, MOST = 50, 500
FLOOD = 30  # refusals of nobody known that are kept, an address and minute
OUTCOMES = {401: "refused", 403: "refused", 429: "throttled"}
UNSAID = ("token",)


def note(answer: Response) -> Response:
    """After each request: keep what was changed or refused."""
    status = answer.status_code
    refused = OUTCOMES.get(status)
    if request.method in SAFE:
        if status != 403:
            return answer
    elif not refused and not _is_change():
        return answer
    outcome = refused or ("done" if status < 400 else f"failed {status}")
    route = _named(request.url_rule.rule) if request.url_rule else "unknown"
    row = (_name(), remote_address(), f"{request.method} {route}", _subject(), outcome)
    try:
        _keep(*row)
    except PeeweeException as error:  # the database is locked, or its disk full
        log.error("audit.unwritten", row=row, why=str(error))
    return answer


def _keep(account: str, address: str, action: str, subject: str, outcome: str) -> None:
    if account or events.refusals(address, clock.now() - 60) < FLOOD:
        events.audit(account, address, action, subject, outcome)


def _named(rule: str) -> str:
    """`/vmm/<id>/<verb>`: the rule with the names of its gaps alone."""
    return re.sub(r"<(?:[^<>]*:)?(\w+?)_?>", r"<\1>", rule)


def _is_change() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return view is not None and bool(vars(view).get("audited", True))


def _name() -> str:
    """The caller's name, or the account that a log-in was tried for."""
    account = g.get("account")
    return str(account.name if account else g.get("tried", ""))


def _subject() -> str:
    found = (request.view_args or {}).items()
    return "/".join(str(value)[:80] for key, value in found if key not in UNSAID)


def asked(rows: int) -> dict[str, Any]:
    """What is asked for: rows of one account or with a text, page by page."""
    account = request.args.get("account", "").strip()
    text = request.args.get("text", "").strip()
    before = request.args.get("before", type=int)
    found = events.audit_rows(rows + 1, account=account, text=text, before=before)
    return {
        "rows": found[:rows],
        "next": found[rows - 1].id if len(found) > rows else None,
        "account_asked": account,
        "text": text,
    }


@blueprint.get("/admin/audit")
@requires("auditor")
def page() -> Any:
    return render_template("admin/audit.html", **asked(ROWS))


@blueprint.get("/api/v1/admin/audit")
@requires("auditor")
@answers(Audit)
def index() -> Any:
    """The audit log, newest first: every change and every refused attempt."""
    limit = min(max(request.args.get("limit", ROWS, type=int), 1), MOST)
    found = asked(limit)
    keys = ("id", "account", "address", "action", "subject", "outcome")
    rows = [
        {"time": clock.rfc3339(row.time), **{key: getattr(row, key) for key in keys}}
        for row in found["rows"]
    ]
    return jsonify(rows=rows, next=found["next"])
