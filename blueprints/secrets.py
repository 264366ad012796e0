"""Secrets of agents: names and times are shown, values only go in."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, redirect, request

from appliance import clock, state
from appliance.market import secrets
from appliance.problems import Invalid, NotFound
from blueprints.access import known_agent, may_know, must_change, must_see, requires
from blueprints.agents import render_agent
from blueprints.contract import answers, takes
from blueprints.proof import must_be_proved
from blueprints.shapes.market import Secrets

blueprint = Blueprint("secrets", __name__)
AGENTS = "/api/v1/market/agents"
PAGES = "/market/<owner>/<name>/secrets"


def full_name(owner: str | None, name: str) -> tuple[str, str]:
    """Owner and name; a bare name is the agent that `form run` calls by it, or to
    be the caller's: a secret may be set before the first deployment."""
    if owner is not None:
        return owner, name
    if not any(may_know(agent.id) for agent in state.select("agent", name=name)):
        return g.account.name, name
    return known_agent(name).body["owner_name"], name


def value() -> str:
    raw = request.get_data(cache=False)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Invalid("A secret is a UTF-8 text.", value="not UTF-8") from None


def document(owner: str, name: str) -> Any:
    found = secrets.listing(owner, name)
    rows = [
        {
            "name": item.name,
            "set": item.changed is not None,
            "changed": clock.rfc3339(item.changed),
            "asked": item.is_asked,
        }
        for item in found
    ]
    missing = [item.name for item in found if item.is_asked and item.changed is None]
    return jsonify(
        agent=f"{owner}/{name}",
        secrets=rows,
        missing=missing,
        waits_for_deployment=secrets.waiting(owner, name),
    )


def must_be_allowed(owner: str, name: str) -> None:
    """Raise unless the caller may set the agent's secrets; those of others not from a
    browser that was left open."""
    must_change(f"{owner}/{name}")
    if owner != g.account.name:
        must_be_proved(f"change secrets of {owner}/{name}")


def must_be_set(owner: str, name: str, key: str) -> None:
    if not secrets.remove(owner, name, key):
        raise NotFound("secret-unknown", f"{owner}/{name} has no secret {key[:64]}.")


@blueprint.get(f"{AGENTS}/<name>/secrets")
@blueprint.get(f"{AGENTS}/<owner>/<name>/secrets")
@requires("account")
@answers(Secrets)
def index(name: str, owner: str | None = None) -> Any:
    """Names of an agent's secrets, and when they were set; never a value."""
    owner, name = full_name(owner, name)
    must_see(f"{owner}/{name}")
    return document(owner, name)


@blueprint.put(f"{AGENTS}/<name>/secrets/<key>")
@blueprint.put(f"{AGENTS}/<owner>/<name>/secrets/<key>")
@requires("developer")
@takes(None, media="text/plain")
@answers(Secrets, problems=(409, 422))
def put(name: str, key: str, owner: str | None = None) -> Any:
    """Set a secret; the body is the value. It takes effect at the next deployment."""
    owner, name = full_name(owner, name)
    must_be_allowed(owner, name)
    secrets.put(owner, name, key, value())
    return document(owner, name)


@blueprint.delete(f"{AGENTS}/<name>/secrets/<key>")
@blueprint.delete(f"{AGENTS}/<owner>/<name>/secrets/<key>")
@requires("developer")
@answers(Secrets)
def remove(name: str, key: str, owner: str | None = None) -> Any:
    """Forget a secret."""
    owner, name = full_name(owner, name)
    must_be_allowed(owner, name)
    must_be_set(owner, name, key)
    return document(owner, name)


@blueprint.post(PAGES)
@requires("developer")
def put_page(owner: str, name: str) -> Any:
    must_be_allowed(owner, name)
    form = request.form
    try:
        if not form.get("value"):
            raise Invalid("The value is empty.", value="Enter the value.")
        secrets.put(owner, name, form.get("name", "").strip(), form["value"])
    except Invalid as problem:
        errors = problem.members["errors"] | {"": problem.detail}
        return render_agent(owner, name, secret_errors=errors), 422
    return redirect(f"/market/{owner}/{name}#secrets", 303)


@blueprint.post(f"{PAGES}/<key>/remove")
@requires("developer")
def remove_page(owner: str, name: str, key: str) -> Any:
    must_be_allowed(owner, name)
    must_be_set(owner, name, key)
    return redirect(f"/market/{owner}/{name}#secrets", 303)
