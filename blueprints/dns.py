"""Names: what the zone holds, what is forwarded, and how much is asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, render_template

from appliance import clock
from appliance.config import settings
from appliance.dns import apex
from appliance.dns.names import Name, list_names, read_zone, vanity_domains
from appliance.dns.service import Report
from blueprints.access import requires
from blueprints.contract import answers, asks
from blueprints.lists import PAGED, Columns, ListQuery, PageQuery, listed, paged
from blueprints.shapes.network import Names, Queries

blueprint = Blueprint("dns", __name__)
API = "/api/v1/dns"
COLUMNS: Columns[Name] = {
    "name": lambda name: name.fqdn,
    "health": lambda name: name.health,
    "address": lambda name: ", ".join(name.addresses),
    "agent": lambda name: name.agent,
}


def report() -> Report | None:
    """What formation-dns said last; None before it ran."""
    try:
        text = (settings().run_dir / "dns" / "report.json").read_text()
        return Report(**json.loads(text))
    except (FileNotFoundError, ValueError, TypeError):
        return None


@blueprint.get("/dns/")
@requires("account")
@asks(PageQuery)
def page(query: PageQuery) -> Any:
    zone = read_zone(settings(), apex(settings()))
    names = list_names(zone)
    return render_template(
        "dns/index.html",
        zone=zone,
        names=names,
        page=listed(names, query, COLUMNS),
        vanity=vanity_domains(),
        report=report(),
        port=settings().dns.port,
    )


@blueprint.get(f"{API}/names")
@requires("account")
@asks(ListQuery)
@answers(Names, headers=PAGED)
def names(query: ListQuery) -> Any:
    """Every name that exists with its addresses; agents' names with their health."""
    zone = read_zone(settings(), apex(settings()))
    found = listed(list_names(zone), query, COLUMNS)
    answer = jsonify(
        zone=zone.apex,
        names=dict(zone.addresses),
        agents=[asdict(name) for name in found.rows],
        domains=[asdict(domain) for domain in vanity_domains()],
    )
    return paged(answer, found)


@blueprint.get(f"{API}/queries")
@requires("account")
@answers(Queries)
def queries() -> Any:
    """Where formation-dns listens and forwards to, and its counts since it began."""
    found = report()
    if found is None:
        return jsonify(since=None, listens=[], forwarders=[], queries={})
    return jsonify({**asdict(found), "since": clock.rfc3339(found.since)})
