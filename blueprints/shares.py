"""Who may do what with an agent: its owner and operators share it with accounts."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, redirect, request

from appliance import clock
from appliance.admin import sharing
from appliance.problems import Invalid
from blueprints.access import known_agent, not_yours, requires
from blueprints.agents import render_agent
from blueprints.contract import answers, takes
from blueprints.shapes.market import Shares, ShareWish

blueprint = Blueprint("shares", __name__)
API = "/api/v1/market/agents/<owner>/<name>/rights"
PAGE = "/market/<owner>/<name>/rights"


def seen(owner: str, name: str) -> str:
    """The agent's full name, if the caller may see whom it is shared with."""
    agent = known_agent(name, owner).id
    if not sharing.may_see(g.account, agent):
        raise not_yours(agent)
    return agent


def shared(owner: str, name: str) -> str:
    """The agent's full name, if it is the caller's to share."""
    agent = known_agent(name, owner).id
    if not sharing.may_share(g.account, agent):
        raise not_yours(agent)
    return agent


def document(agent: str) -> Any:
    rows = [
        {
            "account": given.account,
            "right": given.right,
            "giver": given.giver,
            "given": clock.rfc3339(given.given),
        }
        for given in sharing.listing(agent)
    ]
    return jsonify(agent=agent, owner=agent.partition("/")[0], rights=rows)


@blueprint.get(API)
@requires("account")
@answers(Shares)
def index(owner: str, name: str) -> Any:
    """Whom an agent is shared with, and with which right."""
    return document(seen(owner, name))


@blueprint.put(f"{API}/<account>")
@requires("developer", "admin")
@takes(ShareWish)
@answers(Shares)
def put(owner: str, name: str, account: str, body: ShareWish) -> Any:
    """Share an agent with an account, or with `everyone` on this node."""
    agent = shared(owner, name)
    sharing.share(agent, account, body.right, g.account)
    return document(agent)


@blueprint.delete(f"{API}/<account>")
@requires("developer", "admin")
@answers(Shares, problems=(422,))
def remove(owner: str, name: str, account: str) -> Any:
    """Take an account's right on an agent away."""
    agent = shared(owner, name)
    sharing.unshare(agent, account)
    return document(agent)


@blueprint.post(PAGE)
@requires("developer", "admin")
def put_page(owner: str, name: str) -> Any:
    agent, form = shared(owner, name), request.form
    try:
        account = form.get("account", "").strip().lower()
        sharing.share(agent, account, form.get("right", ""), g.account)
    except Invalid as problem:
        return render_agent(owner, name, share_errors=problem.members["errors"]), 422
    return redirect(f"/market/{agent}#rights", 303)


@blueprint.post(f"{PAGE}/<account>/remove")
@requires("developer", "admin")
def remove_page(owner: str, name: str, account: str) -> Any:
    agent = shared(owner, name)
    sharing.unshare(agent, account)
    return redirect(f"/market/{agent}#rights", 303)
