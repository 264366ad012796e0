"""What the node's processes and engines wrote: searched, followed, downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, g, jsonify, render_template, request
from pydantic import ValidationError

from appliance import clock
from appliance.admin import logs
from appliance.admin.log_lines import LEVELS, Entry, moment
from appliance.admin.rights import may
from appliance.config import settings
from appliance.problems import Invalid, Problem
from blueprints import live
from blueprints.access import requires
from blueprints.broadcast import Update
from blueprints.contract import answers, asks, invalid
from blueprints.shapes.logs import LogQuery, Logs

blueprint = Blueprint("logs", __name__)
SHOWN = 200
FILTERS = ("process", "level", "text", "request", "since", "until")


def wanted(query: LogQuery) -> logs.Wanted:
    """What a query asks for; raises Invalid."""
    try:
        before = logs.key_of(query.before) if query.before else None
    except ValueError:
        raise Invalid(
            "before: take `next` of the page before.", before="It is no page's end."
        ) from None
    return logs.Wanted(
        process=query.process,
        level=query.level,
        text=query.text,
        request=query.request,
        since=moment(query.since) if query.since else 0.0,
        until=moment(query.until) if query.until else float("inf"),
        before=before,
    )


@blueprint.get("/api/v1/admin/logs")
@requires("auditor")
@asks(LogQuery)
@answers(Logs, problems=(404, 503))
def index(query: LogQuery) -> Any:
    """What processes and engines wrote, the last lines first asked for."""
    lines, more = logs.find(settings(), wanted(query), query.limit)
    return jsonify(
        processes=logs.names(settings()),
        lines=[document(entry) for entry in lines],
        next=logs.text_of(lines[0]) if more else None,
    )


def document(entry: Entry) -> dict[str, Any]:
    return {
        "time": clock.rfc3339(entry.time),
        "process": entry.process,
        "level": entry.level,
        "text": entry.text,
        "request": entry.request,
    }


@blueprint.get("/api/v1/admin/logs/download")
@requires("auditor")
@asks(LogQuery)
@answers(media="text/plain", problems=(404, 503))
def download(query: LogQuery) -> Any:
    """The same as a text file, of as many lines as are kept in mind at once."""
    lines, _ = logs.find(settings(), wanted(query), logs.MOST)
    name = f"formation-{query.process or 'logs'}.txt"
    answer = Response(written(lines), mimetype="text/plain")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def written(lines: list[Entry]) -> Iterator[str]:
    for entry in lines:
        request_ = f" [{entry.request}]" if entry.request else ""
        time = clock.rfc3339(entry.time)
        yield f"{time} {entry.process} {entry.level}{request_} {entry.text}\n"


@blueprint.get("/admin/logs")
@requires("auditor")
def page() -> Any:
    """The filtered end of the logs, which follows; older pages stand still."""
    form = {name: request.args.get(name, "").strip() for name in (*FILTERS, "before")}
    asked = urlencode({name: form[name] for name in FILTERS if form[name]})
    about = {"form": form, "asked": asked, "levels": LEVELS}
    try:
        found = shown(form)
    except Problem as problem:
        nothing = {"lines": [], "next": None, "names": logs.names(settings())}
        wrong = problem.detail
        status = problem.status
        page = render_template("logs/index.html", error=wrong, **about, **nothing)
        return page, status
    return render_template("logs/index.html", error="", **about, **found)


def shown(form: dict[str, str]) -> dict[str, Any]:
    sent = {name: value for name, value in form.items() if value}
    try:
        query = LogQuery.model_validate(sent)
    except ValidationError as error:
        raise invalid(LogQuery, error) from None
    lines, more = logs.find(settings(), wanted(query), SHOWN)
    return {
        "lines": lines,
        "next": logs.text_of(lines[0]) if more else None,
        "names": logs.names(settings()),
    }


def must_read(subject: str) -> None:
    """Logs are for operators and auditors."""
    if not may(g.account, "auditor"):
        raise Problem("not-allowed", "This needs the role auditor.", status=403)
    shown(filters(subject))


def filters(subject: str) -> dict[str, str]:
    """What a followed page asks for, out of its query."""
    from urllib.parse import parse_qsl

    found = dict(parse_qsl(subject))
    return {name: found[name] for name in FILTERS if name in found}


def looks() -> object:
    return logs.source(settings()).marker()


@live.view("logs", must_read, looks)
def update(subject: str) -> Update:
    now = shown(filters(subject))
    return Update({"lines": render_template("logs/lines.html", **now)})
