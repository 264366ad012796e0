"""Operations: one URL each, to look at, to follow and to cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from typing import Any

from flask import (
    Blueprint,
    Response,
    g,
    jsonify,
    redirect,
    render_template,
)
from pydantic import Field

from appliance import operations
from blueprints import live
from blueprints.access import (
    may_change,
    may_see_operation,
    must_change,
    must_see,
    requires,
)
from blueprints.broadcast import Update
from blueprints.contract import answers, asks
from blueprints.lists import MOST, PAGED, Columns, ListQuery, listed, paged
from blueprints.shapes.operations import After, Log, Operation, Operations

blueprint = Blueprint("operations", __name__)
LINES = 60
COLUMNS: Columns[operations.Operation] = {
    "title": lambda row: row.title,
    "kind": lambda row: row.kind,
    "subject": lambda row: row.subject,
    "state": lambda row: row.state,
    "created": lambda row: row.created,
}


class OperationsQuery(ListQuery):
    limit: int = Field(100, ge=1, le=MOST, description="Rows at once.")


def seen(id_: str) -> operations.Operation:
    """The operation, if it is the caller's, or on what it may see."""
    row = operations.get(id_)
    if not may_see_operation(row):
        must_see(operations.owner_of(row))
    return row


def stop(id_: str) -> operations.Operation:
    row = operations.get(id_)
    if row.account != g.account.id:
        must_change(operations.owner_of(row))
    return operations.cancel(id_)


def view(id_: str) -> dict[str, Any]:
    row, lines = seen(id_), operations.log_lines(id_)
    mine = row.account == g.account.id
    return {
        "may_cancel": mine or may_change(operations.owner_of(row)),
        "operation": operations.as_document(row),
        "live": row.state in operations.LIVE,
        "since": row.started or row.created,
        "until": row.ended,
        "lines": lines[-LINES:],
        "left_out": max(0, len(lines) - LINES),
    }


@blueprint.get("/operations/<id_>")
@requires("account")
def page(id_: str) -> Any:
    return render_template("operations/page.html", **view(id_))


@live.view("operation", seen)
def update(id_: str) -> Update:
    now = view(id_)
    parts = {"operation": "part", "records": "records"}
    return Update(
        {
            name: render_template(f"operations/{part}.html", **now)
            for name, part in parts.items()
        }
    )


@blueprint.post("/operations/<id_>/cancel")
@requires("developer")
def cancel_page(id_: str) -> Any:
    stop(id_)
    return redirect(f"/operations/{id_}", 303)


@blueprint.get("/api/v1/operations")
@requires("account")
@asks(OperationsQuery)
@answers(Operations, headers=PAGED)
def index(query: OperationsQuery) -> Any:
    """Operations that you may see, newest first, of the last thousand."""
    seen = (row for row in operations.recent(1000) if may_see_operation(row))
    found = listed(seen, query, COLUMNS)
    rows = [operations.as_document(row) for row in found.rows]
    return paged(jsonify(operations=rows), found)


@blueprint.get("/api/v1/operations/<id_>/log")
@requires("account")
@asks(After)
@answers(Log)
def log(id_: str, query: After) -> Any:
    """Lines of an operation's log after the line whose id is `after`."""
    seen(id_)
    rows = operations.log_lines(id_, query.after or 0)
    keys = ("id", "time", "step", "line")
    return jsonify(lines=[dict(zip(keys, row, strict=True)) for row in rows])


@blueprint.get("/api/v1/operations/<id_>")
@requires("account")
@answers(Operation)
def show(id_: str) -> Any:
    """An operation with its steps and outcome."""
    return jsonify(operations.as_document(seen(id_)))


@blueprint.delete("/api/v1/operations/<id_>")
@requires("developer")
@answers(Operation)
def cancel(id_: str) -> Any:
    """Ask an operation to end; harmless when it ended already."""
    return jsonify(operations.as_document(stop(id_)))


@blueprint.get("/api/v1/operations/<id_>/events")
@requires("account")
@answers(media="text/event-stream")
def events(id_: str) -> Any:
    """An operation's events `log` and `state`, until it ends."""
    seen(id_)
    return Response(follow(id_), mimetype="text/event-stream")


def follow(id_: str) -> Iterator[str]:
    """`log` and `state` events until the operation ended."""
    seen, before, pause = 0, "", Event()
    while True:
        row = operations.get(id_)
        for number, _, step, line in operations.log_lines(id_, seen):
            seen = number
            body = json.dumps({"step": step, "line": line})
            yield f"id: {number}\nevent: log\ndata: {body}\n\n"
        document = json.dumps(operations.as_document(row))
        if document != before:
            before = document
            yield f"event: state\ndata: {document}\n\n"
        if row.state not in operations.LIVE:
            return
        pause.wait(0.2)
