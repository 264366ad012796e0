"""Status of every service, the same for all."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, render_template

from appliance.config import settings
from appliance.problems import NotFound
from appliance.service import Service, by_segment, read_status, services
from blueprints.access import public, requires
from blueprints.contract import answers
from blueprints.shapes.admin import ServiceStatus

blueprint = Blueprint("services", __name__)


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
    """How a service is: its state, since when, and why."""
    service = known(segment)
    found = asdict(read_status(settings(), service))
    return jsonify(name=service.name, process=service.process, **found)


@blueprint.get("/services/")
@requires("account")
def index() -> Any:
    found = [(s, read_status(settings(), s)) for s in services().values()]
    return render_template("admin/services.html", services=found)
