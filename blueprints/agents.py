"""The pages of agents: the catalogue, and each agent's with the form to try it."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from appliance import dns, shares, state
from appliance.admin import rights, sharing
from appliance.config import settings
from appliance.market import answers, orders, secrets, tasks
from appliance.market.engine import current
from appliance.market.example import example
from appliance.plain import pretty
from appliance.problems import Problem
from blueprints.access import (
    callable_agent,
    known_agent,
    may_see,
    must_change,
    requires,
)
from blueprints.contract import asks
from blueprints.lists import PageQuery, listed
from blueprints.market import columns, known_agents
from blueprints.tasks import task_view

blueprint = Blueprint("agents", __name__)


@blueprint.get("/market/")
@requires("account")
@asks(PageQuery)
def index(query: PageQuery) -> Any:
    """The catalogue, by name."""
    known = known_agents()
    found = listed(known, query, columns())
    running = {r.body["agent"]: r for r in state.select("instance")}
    return render_template(
        "market/index.html", page=found, known=len(known), running=running
    )


@blueprint.get("/market/<owner>/<name>")
@requires("account")
def agent_page(owner: str, name: str) -> Any:
    return render_agent(owner, name)


@blueprint.post("/market/<owner>/<name>/try")
@requires("user", "tasks", audited=False)
def try_it(owner: str, name: str) -> Any:
    """Submit what was typed; the page then shows the task until it ends."""
    text = request.form.get("input", "")
    try:
        wish = {"input": json.loads(text, parse_constant=answers.no_number)}
        agent = callable_agent(name, owner)
        task = current().accept(agent, g.account.id, wish, tasks.RUN_S)
    except (ValueError, RecursionError):
        said = 'This is not JSON. Texts stand in double quotes: {"text": "hi"}'
        return render_agent(owner, name, text=text, wrong=said), 422
    except Problem as problem:
        page = render_agent(owner, name, text=text, wrong=problem.detail)
        return page, problem.status
    current().submit(task)
    return redirect(f"/market/{owner}/{name}?task={task.id}#task", 303)


def render_agent(
    owner: str,
    name: str,
    text: str = "",
    wrong: str = "",
    secret_errors: dict[str, str] | None = None,
    share_errors: dict[str, str] | None = None,
) -> Any:
    found = known_agent(name, owner)
    mine = tasks.selection(tasks.of_caller(g.account.id), f"{owner}/{name}").limit(10)
    lately = list(mine)
    card = current().card(found.id)
    shown = request.args.get("task", "")
    members = card.members if card else {}
    typed = pretty(json.loads(lately[0].request)["input"]) if lately else ""
    return render_template(
        "market/agent.html",
        agent=found,
        versions=state.select("version", agent=found.id)[::-1],
        instances=state.select("instance", agent=found.id),
        text=text or typed or pretty(example(members.get("input"))),
        wrong=wrong,
        card=card,
        schema=pretty(members["input"]) if "input" in members else "",
        lately=[(row, tasks.as_document(row)) for row in lately],
        **(task_view(shown) if shown else {"task": None}),
        zone=dns.apex(settings()),
        secrets=secrets.listing(owner, name) if may_see(found.id) else [],
        secrets_wait=secrets.waiting(owner, name),
        secret_errors=secret_errors or {},
        follows=rights.may_follow(g.account, found.id),
        may_see_shares=sharing.may_see(g.account, found.id),
        shares=sharing.listing(found.id),
        rights=shares.RIGHTS,
        share_errors=share_errors or {},
    )


@blueprint.post("/market/<owner>/<name>/deploy")
@requires("developer")
def deploy_page(owner: str, name: str) -> Any:
    must_change(f"{owner}/{name}")
    version = request.form.get("version", "")
    made = orders.again(owner, name, version, g.account.id)
    return redirect(f"/operations/{made}", 303)
