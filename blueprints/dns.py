"""Names: what the zone holds, what is forwarded, and how much is asked."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify, render_template

from appliance import clock
from appliance.config import settings
from appliance.dns import apex
from appliance.dns.names import Name, Vanity, list_names, read_zone, vanity_domains
from appliance.dns.service import Report
from blueprints.access import may_know, requires
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


def known_domains() -> list[Vanity]:
    return [domain for domain in vanity_domains() if may_know(domain.agent)]


@blueprint.get("/dns/")
@requires("account")
@asks(PageQuery)
def page(query: PageQuery) -> Any:
    zone = read_zone(settings(), apex(settings()))
    names = [name for name in list_names(zone) if may_know(name.agent)]
    return render_template(
        "dns/index.html",
        zone=zone,
        names=names,
        page=listed(names, query, COLUMNS),
        vanity=known_domains(),
        report=report(),
        port=settings().dns.port,
    )


@blueprint.get(f"{API}/names")
@requires("account")
@asks(ListQuery)
@answers(Names, headers=PAGED)
def names(query: ListQuery) -> Any:
    """The names of agents that you know, with their addresses and health; that of the
    node too. Whoever asks the server for a name is answered all the same."""
    zone = read_zone(settings(), apex(settings()))
    every = list_names(zone)
    hidden = {name.fqdn for name in every if not may_know(name.agent)}
    seen = [name for name in every if name.fqdn not in hidden]
    found = listed(seen, query, COLUMNS)
    addresses = {k: v for k, v in zone.addresses.items() if k not in hidden}
    answer = jsonify(
        zone=zone.apex,
        names=addresses,
        agents=[asdict(name) for name in found.rows],
        domains=[asdict(domain) for domain in known_domains()],
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
