"""Names: what the zone holds."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, render_template

from appliance.config import settings
from appliance.dns import apex
from appliance.dns.service import read_zone
from blueprints.access import requires

blueprint = Blueprint("dns", __name__)


@blueprint.get("/dns/")
@requires("account")
def page() -> Any:
    config = settings().dns
    return render_template(
        "dns/index.html", zone=read_zone(apex(settings())), dns=config
    )


@blueprint.get("/api/v1/dns/names")
@requires("account")
def names() -> Any:
    zone = read_zone(apex(settings()))
    return jsonify(zone=zone.apex, names=dict(zone.addresses))
