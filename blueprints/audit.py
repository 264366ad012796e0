"""The audit log: every change and every refused attempt, noted in one place.

Rows hold who, from where, which route, on what, and how it ended; never a body,
and never what stands in a link that sets a password.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import structlog
from flask import Blueprint, Response, current_app, g, jsonify, render_template, request
from peewee import PeeweeException

from appliance import audit, clock, identity, state
from appliance.config import settings
from appliance.problems import Invalid, NotFound
from blueprints.access import SAFE, remote_address, requires
from blueprints.contract import answers, asks
from blueprints.shapes.admin import Audit, AuditQuery, AuditVerification

blueprint = Blueprint("audit", __name__)
log = structlog.get_logger()
ROWS, MOST, EXPORTED = 50, 500, 1_000_000
FLOOD = 30  # refusals of nobody known that are kept, an address and minute
OUTCOMES = {401: "refused", 403: "refused", 421: "refused", 429: "throttled"}
UNSAID = ("token",)
BYPASS, BYPASS_S = "read without a log-in", 600.0


def note(answer: Response) -> Response:
    """After each request: keep what was changed or refused, and who was let in without
    a log-in."""
    status = answer.status_code
    if g.get("asks_proof"):  # it was asked for, not refused
        return answer
    refused = OUTCOMES.get(status)
    outcome = refused or ("done" if status < 400 else f"failed {status}")
    route = _named(request.url_rule.rule) if request.url_rule else "unknown"
    what = f"{request.method} {route}"
    via = g.get("via", "")
    if via:
        log.warning("auth.bypass", via=via, address=remote_address(), what=what)
    try:
        if _is_noted(status):
            _keep(_name(), _from(via), what, _subject(), outcome)
        elif via:
            _keep_bypass(_from(via), what, outcome)
    except PeeweeException as error:  # the database is locked, or its disk full
        log.error("audit.unwritten", what=what, outcome=outcome, why=str(error))
    return answer


def _is_noted(status: int) -> bool:
    """A change, or a refused attempt; not who comes back once its session has ended."""
    if request.method in SAFE:
        return status == 403 or (status == 401 and g.get("presented", False))
    return status in OUTCOMES or _is_change()


def _from(via: str) -> str:
    return f"{remote_address()} ({via})" if via else remote_address()


def _keep_bypass(source: str, what: str, outcome: str) -> None:
    """What only reads, as a scraper does all day, is noted now and then."""
    if not audit.is_noted(source, BYPASS, clock.now() - BYPASS_S):
        audit.note(_name(), source, BYPASS, what, outcome)


def _keep(account: str, address: str, action: str, subject: str, outcome: str) -> None:
    if account or audit.refusals(address, clock.now() - 60) < FLOOD:
        audit.note(account, address, action, subject, outcome)


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
    """What is asked for: of one account, with a text, an outcome, in days from and to,
    page by page."""
    names = ("account", "text", "outcome", "from", "to")
    wish = {name: request.args.get(name, "").strip() for name in names}
    found = audit.rows(
        rows + 1,
        account=wish["account"],
        text=wish["text"],
        outcome=wish["outcome"],
        since=day(wish["from"], "from"),
        until=day(wish["to"], "to", after=86400.0),
        before=request.args.get("before", type=int),
    )
    return {
        "rows": found[:rows],
        "next": found[rows - 1].id if len(found) > rows else None,
        "wish": wish,
        "query": urlencode({name: text for name, text in wish.items() if text}),
    }


def day(text: str, name: str, after: float = 0.0) -> float | None:
    """The beginning of a day (2026-01-31, UTC) and `after` seconds."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(f"{text}T00:00:00+00:00").timestamp() + after
    except ValueError:
        raise Invalid(
            f"{name}: {text!r} is no day; write it as 2026-01-31.", **{name: "no day"}
        ) from None


KEYS = ("id", "account", "address", "action", "subject", "outcome", "hash")


def document(row: audit.Audit) -> dict[str, Any]:
    members = {key: getattr(row, key) for key in KEYS}
    return {"time": clock.rfc3339(row.time), **members}


def signed() -> dict[str, Any]:
    """The ends of the chain as formation-state signed them last."""
    record = state.find("audit", identity.node_id(settings()) or "")
    return record.body if record else {}


@blueprint.get("/admin/audit")
@requires("auditor")
def page() -> Any:
    return render_template("admin/audit.html", **asked(ROWS))


@blueprint.get("/api/v1/admin/audit")
@requires("auditor")
@asks(AuditQuery)
@answers(Audit)
def index(query: AuditQuery) -> Any:
    """The audit log, newest first: every change and every refused attempt."""
    found = asked(min(query.limit, MOST))
    rows = [document(row) for row in found["rows"]]
    return jsonify(rows=rows, next=found["next"])


@blueprint.get("/api/v1/admin/audit/verification")
@requires("auditor")
@answers(AuditVerification)
def verification() -> Any:
    """Whether the audit log is whole: every hash, and the ends that were signed."""
    ends = signed()
    return jsonify(faults=audit.verify(ends), rows=audit.count(), signed=ends or None)


@blueprint.get("/admin/audit/verification")
@requires("auditor")
def verification_page() -> Any:
    found = audit.verify(signed())
    return render_template("admin/audit_verified.html", faults=found, signed=signed())


@blueprint.get("/admin/audit/rows.<form>")
@requires("auditor")
def export(form: str) -> Response:
    """What is asked for as a file: CSV, or a JSON object a line."""
    if form not in FORMS:
        known = " and ".join(FORMS)
        raise NotFound(
            "form-unknown", f"There is no {form!r} of it; there are {known}."
        )
    rows = map(document, asked(EXPORTED)["rows"])
    answer = Response(FORMS[form](rows), mimetype=MEDIA[form])
    answer.headers["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return answer


def as_csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """RFC 4180. A text that a table program would take for a formula gets a quote."""
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(("time", *KEYS))
    for row in rows:
        writer.writerow([plain(str(value)) for value in row.values()])
        yield sheet.getvalue()
        sheet.seek(0)
        sheet.truncate()
    yield sheet.getvalue()


def plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


FORMS = {"csv": as_csv, "jsonl": as_lines}
MEDIA = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
