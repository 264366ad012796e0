"""Pages that update themselves: one event stream a page, served by the gateway.

A view says what its page shows: `@live.view("dashboard")` over a function from the
page's subject (an id, or empty) to an `Update`. It is rendered once per change for
all viewers of one audience: those who see everything, or one account. templates/
static/live.js swaps the fragments in, and asks `/live/parts` from time to time where
the stream fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    jsonify,
    render_template,
    request,
)

from appliance import clock, database, metrics, state
from appliance.admin import accounts
from appliance.config import settings
from appliance.problems import NotFound
from appliance.service import read_status, services
from blueprints import navigation
from blueprints.access import caller, requires
from blueprints.broadcast import Broadcast, Update, Viewer

blueprint = Blueprint("live", __name__)
View = Callable[[str], Update]
VIEWS: dict[str, tuple[View, Callable[[str], object]]] = {}
LOOKS: dict[str, Callable[[], object]] = {}
HEARTBEAT_S = 15.0


def view(
    name: str,
    must_see: Callable[[str], object] = str,
    looks: Callable[[], object] = int,
) -> Callable[[View], View]:
    """Register what the pages marked `data-live="NAME"` show; `must_see` raises a
    Problem where the caller may not look at the subject. `looks` gives another value
    whenever something changed that `marker` does not know of."""

    def register(render: View) -> View:
        LOOKS[name] = looks
        VIEWS[name] = render, must_see
        return render

    return register


def fragments(
    folder: str, names: Iterable[str], shown: Mapping[str, Any], prefix: str = ""
) -> dict[str, str]:
    """The fragments of an update: each by its element's id, from its own template."""
    return {
        prefix + name: render_template(f"{folder}/{name}.html", **shown)
        for name in names
    }


def marker() -> tuple[object, ...]:
    """Another value whenever records, node.db, measurements or a service's state
    changed; must be asked by one thread, for SQLite counts by connection."""
    versions = [
        db.execute_sql("pragma data_version").fetchone()[0]
        for db in (database.node, database.metrics)
    ]
    return (state.changed_marker(), *versions, *states())


def states() -> Iterator[tuple[str, float, str]]:
    """Of each service; how long a silent one is silent is no change."""
    for service in services().values():
        found = read_status(settings(), service)
        reason = "" if found.state == "failed" else found.reason
        yield found.state, found.since, reason


def close_databases() -> None:
    """Of the calling thread alone."""
    database.node.close()
    database.metrics.close()
    state.open_state(settings()).database.close()


@cache
def broadcast() -> Broadcast:
    return Broadcast(marker, done=close_databases)


def audience(account: accounts.Account) -> Hashable:
    """Accounts of one audience are shown the same. Another right makes another."""
    if "operator" in account.roles:
        return "operators"
    return "auditors" if set(account.roles) == {"auditor"} else account


def points(*subjects: str) -> dict[str, dict[str, tuple[int, float]]]:
    """The last points of some subjects' charts, as an `Update` has them."""
    found: dict[str, dict[str, tuple[int, float]]] = {of: {} for of in subjects}
    for (of, metric), point in metrics.latest(clock.now()).items():
        if of in found:
            found[of][metric] = (point.time, point.value)
    return found


def chosen_view() -> tuple[str, View, str]:
    """Name, view and subject that the request asks for, if its caller may look."""
    name, subject = request.args.get("view", ""), request.args.get("of", "")
    if name not in VIEWS:
        raise NotFound("view-unknown", f"No page is followed live as {name!r}.")
    render, must_see = VIEWS[name]
    must_see(subject)
    return name, render, subject


def renderer(
    app: Flask, account: accounts.Account, render: View, subject: str
) -> Callable[[], Update]:
    """`render` as a function that any thread may call, for this account's eyes."""

    def call() -> Update:
        with app.app_context():
            g.account = account
            return with_counts(render(subject))

    return call


def with_counts(update: Update) -> Update:
    """And what stands on every page: the counts of the navigation."""
    return Update({**update.fragments, **navigation.counts(g.account)}, update.points)


@blueprint.get("/live/events")
@requires("account")
def events() -> Any:
    """The stream; it ends with the caller's session."""
    name, render, subject = chosen_view()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    key = (name, subject, audience(g.account))
    viewer = broadcast().join(
        key, renderer(app, g.account, render, subject), LOOKS[name]
    )
    still = same_caller(app, request.environ, g.account)
    answer = Response(Stream(viewer, still), mimetype="text/event-stream")
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def same_caller(
    app: Flask, environ: Any, account: accounts.Account
) -> Callable[[], bool]:
    """Whether the request's session, token or socket still speaks for the account."""

    def check() -> bool:
        with app.request_context(environ):
            return caller() == account

    return check


class Stream:
    """Server-sent events of one viewer; closed with its connection."""

    def __init__(self, viewer: Viewer, is_allowed: Callable[[], bool]) -> None:
        self._viewer = viewer
        self._is_allowed = is_allowed

    def __iter__(self) -> Iterator[str]:
        yield "retry: 3000\n\n"
        while not self._viewer.ended:
            news = self._viewer.next(HEARTBEAT_S)
            if not self._is_allowed():
                break
            yield f"event: update\ndata: {as_json(news)}\n\n" if news else ": \n\n"
        yield "event: end\ndata: \n\n"

    def close(self) -> None:
        """Called by the WSGI server in any case, also when nothing was read."""
        self._viewer.close()


def as_json(update: Update) -> str:
    document = {"fragments": update.fragments, "points": update.points}
    return json.dumps(document, ensure_ascii=False)


@blueprint.get("/live/parts")
@requires("account")
def parts() -> Any:
    """All of a view as it is now, for pages whose stream fails."""
    _, render, subject = chosen_view()
    update = with_counts(render(subject))
    return jsonify(fragments=update.fragments, points=update.points)
