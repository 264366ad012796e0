"""Taking agents and versions out of the catalogue; a page asks before."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance.admin import storage
from appliance.config import settings
from appliance.market import withdraw
from appliance.problems import Conflict, Unavailable
from blueprints.access import known_agent, must_change, must_see, requires
from blueprints.contract import LOCATION, answers, asks
from blueprints.proof import must_be_proved
from blueprints.shapes.market import Belongings, DeleteQuery
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("catalogue", __name__)
AGENT = "/api/v1/market/agents/<owner>/<name>"
PAGE = "/market/<owner>/<name>"
VERSION = "/versions/<version>"
WITH_VOLUMES = "delete an agent with its volumes"


def volumes(owner: str, name: str) -> list[storage.Document] | None:
    """The agent's volumes as they were measured; None where they were not yet."""
    try:
        found = storage.report(settings())["volumes"]
    except Unavailable:
        return None
    return [v for v in found if (v["owner"], v["agent"]) == (owner, name)]


def wanted(owner: str, name: str) -> str:
    """The full name of an agent that the caller may delete: who only manages it may
    not."""
    must_change(owner)
    return known_agent(name, owner).id


def managed(owner: str, name: str) -> str:
    """The full name of an agent whose versions the caller may delete."""
    must_change(f"{owner}/{name}")
    return known_agent(name, owner).id


@blueprint.get(f"{AGENT}/belongings")
@requires("account")
@answers(Belongings)
def belongings(owner: str, name: str) -> Any:
    """What a deletion of the agent takes with it, and its volumes."""
    must_see(f"{owner}/{name}")
    agent = known_agent(name, owner).id
    found = asdict(withdraw.belongings(agent))
    return jsonify(agent=agent, **found, volumes=volumes(owner, name))


@blueprint.delete(AGENT)
@requires("developer")
@asks(DeleteQuery)
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def delete_agent(owner: str, name: str, query: DeleteQuery) -> Any:
    """Delete an agent with all that is its own; its volumes stay unless asked."""
    agent = wanted(owner, name)
    if query.volumes == "1":
        must_be_proved(WITH_VOLUMES)
    return accepted(withdraw.request(agent, g.account.id, query.volumes == "1"))


@blueprint.delete(f"{AGENT}{VERSION}")
@requires("developer")
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def delete_version(owner: str, name: str, version: str) -> Any:
    """Delete a version that nothing runs."""
    agent = managed(owner, name)
    return accepted(withdraw.request_version(agent, version, g.account.id))


@blueprint.get(f"{PAGE}/delete")
@requires("developer")
def agent_page(owner: str, name: str) -> Any:
    return confirm_agent(owner, name)


def confirm_agent(owner: str, name: str, error: str = "") -> str:
    agent = wanted(owner, name)
    return render_template(
        "market/agent_delete.html",
        agent=agent,
        found=withdraw.belongings(agent),
        volumes=volumes(owner, name),
        error=error,
    )


@blueprint.post(f"{PAGE}/delete")
@requires("developer")
def agent_form(owner: str, name: str) -> Any:
    """Deletes once the agent's name was typed."""
    agent = wanted(owner, name)
    if request.form.get("confirm", "").strip() != agent:
        return confirm_agent(owner, name, f"Type {agent}; nothing was deleted."), 422
    if request.form.get("volumes"):
        must_be_proved(WITH_VOLUMES)
    made = withdraw.request(agent, g.account.id, bool(request.form.get("volumes")))
    return redirect(f"/operations/{made}", 303)


@blueprint.get(f"{PAGE}{VERSION}/delete")
@requires("developer")
def version_page(owner: str, name: str, version: str) -> Any:
    agent, why = managed(owner, name), ""
    try:
        withdraw.must_be_removable(agent, version)
    except Conflict as problem:
        why = problem.detail
    return render_template(
        "market/version_delete.html", agent=agent, version=version, why=why
    )


@blueprint.post(f"{PAGE}{VERSION}/delete")
@requires("developer")
def version_form(owner: str, name: str, version: str) -> Any:
    agent = managed(owner, name)
    made = withdraw.request_version(agent, version, g.account.id)
    return redirect(f"/operations/{made}", 303)
