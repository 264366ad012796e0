"""Services: what they are, how they are, and acts on them."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import Any

from flask import (
    Blueprint,
    g,
    has_request_context,
    jsonify,
    render_template,
    request,
)

from appliance import metrics
from appliance.admin import control, graph, health, processes
from appliance.config import settings
from appliance.problems import NotFound, Unavailable
from appliance.service import (
    Service,
    Verdict,
    by_segment,
    chosen,
    read_status,
    services,
)
from appliance.wishes import should_run, wishes
from blueprints import charting, live
from blueprints.access import public, requires
from blueprints.acts import asked, told
from blueprints.broadcast import Update
from blueprints.contract import LOCATION, answers
from blueprints.shapes.admin import ServiceStatus
from blueprints.shapes.operations import Operation
from blueprints.shapes.services import Registry, Target, WholeService
from blueprints.vmm import accepted

blueprint = Blueprint("services", __name__)
API = "/api/v1/admin"


def known(segment: str) -> Service:
    service = by_segment(segment)
    if service is None:
        raise NotFound("service-unknown", f"There is no service {segment!r}.")
    return service


@blueprint.get("/api/v1/<segment>/status")
@blueprint.get("/<segment>/health", endpoint="health")
@public
@answers(ServiceStatus, problems=(404,))
def status(segment: str) -> Any:
    """How a service is; anybody may ask."""
    service = known(segment)
    found = asdict(read_status(settings(), service))
    return jsonify(name=service.name, process=service.process, **found)


def document(service: Service) -> dict[str, Any]:
    """What the registry says of a service."""
    found, config = read_status(settings(), service), settings()
    return {
        "name": service.name,
        "title": service.title,
        "summary": service.summary,
        "segment": service.segment,
        "process": service.process,
        "version": version(),
        "tags": [service.process, *(["always"] if service.always else [])],
        "depends": list(service.depends),
        "address": address(service),
        "state": found.state,
        "reason": found.reason,
        "since": found.since,
        "enabled": service.name in (chosen(config) or ()),
        "should_run": should_run(config, wishes(config), service.name),
    }


def address(service: Service) -> str:
    """Of its API as the caller reaches it; in a stream, which has none, the path."""
    path = f"/api/v1/{service.segment}"
    return request.host_url.rstrip("/") + path if has_request_context() else path


@cache
def version() -> str:
    from importlib.metadata import version as installed

    return installed("formation")


def whole(service: Service) -> dict[str, Any]:
    """And its checks, history, and who depends on it."""
    return {
        **document(service),
        "needed_by": [s.name for s in services().values() if service.name in s.depends],
        "checks": [checked(c.title, c.run(settings())) for c in service.checks()],
        "history": [
            {"time": row.time, "state": row.state, "reason": row.reason}
            for row in health.history(service.name)
        ],
    }


def checked(title: str, verdict: Verdict) -> dict[str, Any]:
    return {"title": title, **asdict(verdict)}


@blueprint.get(f"{API}/services")
@requires("account")
@answers(Registry)
def registry() -> Any:
    """Every service with its address, process, version, tags and state."""
    return jsonify(services=[document(s) for s in services().values()])


@blueprint.get(f"{API}/services/<name>")
@requires("account")
@answers(WholeService, problems=(404,))
def show(name: str) -> Any:
    """One service, with its checks and the history of its health."""
    return jsonify(whole(control.known(name)))


@blueprint.post(f"{API}/services/<name>/<verb>")
@requires("operator")
@answers(Operation, 202, headers=LOCATION, problems=(404, 409))
def act(name: str, verb: str) -> Any:
    """Start, stop, restart, reload, enable or disable a service."""
    return accepted(control.request(name, verb, g.account.id))


@blueprint.get(f"{API}/targets")
@requires("account")
@answers(list[Target])
def targets() -> Any:
    """The services for Prometheus (http_sd) and other tools that look for targets."""
    return jsonify(
        [
            {
                "targets": [request.host],
                "labels": {
                    "service": service.name,
                    "process": service.process,
                    "version": version(),
                    "__metrics_path__": "/metrics",
                },
            }
            for service in services().values()
        ]
    )


def seen_processes() -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = processes.report(settings())["processes"]
    except Unavailable:
        return []
    return found


def listed() -> dict[str, Any]:
    config = settings()
    asked, enabled = wishes(config), chosen(config) or frozenset()
    return {
        "services": [
            {
                "service": service,
                "status": read_status(config, service),
                "enabled": service.name in enabled,
                "should_run": should_run(config, asked, service.name),
            }
            for service in services().values()
        ],
        "processes": seen_processes(),
    }


@blueprint.get("/services/")
@requires("account")
def index() -> Any:
    return render_template("services/index.html", graph=drawn(), **listed())


@live.view("services")
def update(subject: str) -> Update:
    now = listed()
    found = live.fragments("services", ("answer", "list", "processes"), now)
    found["graph"] = render_template("services/graph.html", graph=drawn())
    return Update(found)


def drawn() -> graph.Drawing:
    states = {s.name: read_status(settings(), s).state for s in services().values()}
    return graph.draw({s.name: s.depends for s in services().values()}, states)


@blueprint.get("/services/<name>")
@requires("account")
def page(name: str) -> Any:
    charts = charting.of_service(control.known(name))
    return render_template(
        "services/service.html", **shown(name), **charting.shown(charts)
    )


def shown(name: str) -> dict[str, Any]:
    service = control.known(name)
    process = next((p for p in seen_processes() if p["name"] == service.process), None)
    return {"service": service, "found": whole(service), "process": process}


@live.view("service")
def update_one(name: str) -> Update:
    now = shown(name)
    parts = ("state", "facts", "acts", "history", "checks")
    found = live.fragments("services", parts, now)
    process = metrics.process(now["service"].process)
    return Update(found, live.points(metrics.NODE, process))


@blueprint.get("/services/<name>/<verb>")
@requires("operator")
def confirm(name: str, verb: str) -> Any:
    """Says what will be missing, and asks; works without JavaScript."""
    service = control.known(name)
    return asked("services", name, verb, service.title, service.without)


@blueprint.post("/services/<name>/<verb>")
@requires("operator")
def act_page(name: str, verb: str) -> Any:
    return told("services", name, verb, lambda: control.request(name, verb, who()))


def who() -> str:
    return str(g.account.id)
