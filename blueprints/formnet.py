"""The guest network: range, addresses, what guests may reach, rules and counts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, render_template

from appliance import clock, formnet, state
from appliance.config import settings
from appliance.formnet.firewall import COUNTERS
from appliance.formnet.service import Report
from blueprints.access import requires
from blueprints.contract import answers
from blueprints.shapes.network import Network

blueprint = Blueprint("formnet", __name__)


def report() -> Report | None:
    """What formation-jobs said last; None before formnet ran."""
    try:
        text = (settings().run_dir / "formnet" / "report.json").read_text()
        return Report(**json.loads(text))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def document() -> dict[str, Any]:
    """Everything that page, API and command show."""
    config, found = settings(), formnet.own_network(settings())
    used = [
        {
            "address": record.body["address"],
            "port": formnet.port(record.body["address"]),
            "instance": record.id,
            "agent": record.body["agent"],
            "state": record.body["state"],
        }
        for record in state.select("instance")
    ]
    return {
        "range": str(state.own_node(config).get("cidr", config.formnet.cidr)),
        "block": str(found.block),
        "bridge": found.bridge,
        "gateway": found.gateway,
        "size": found.block.num_addresses - 3,
        "addresses": sorted(used, key=lambda item: str(item["address"])),
        "granted": [str(network) for network in config.formnet.guest_access],
    }


@blueprint.get("/formnet/")
@requires("auditor")
def page() -> Any:
    found = report()
    return render_template(
        "formnet/index.html", net=document(), report=found, counters=COUNTERS
    )


@blueprint.get("/api/v1/formnet/network")
@requires("auditor")
@answers(Network)
def network() -> Any:
    """The guests' network as it is: range, addresses, rules and their counts."""
    found = report()
    loaded = asdict(found) | {"time": clock.rfc3339(found.time)} if found else None
    return jsonify(**document(), loaded=loaded)
