"""One's own account: password, sessions, API tokens. A page and its calls."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance import clock
from appliance.admin import (
    accounts,
    passwords,
    rights,
    second_factor,
    sessions,
    tokens,
)
from appliance.problems import Invalid
from blueprints.access import remote_address, requires, session_token
from blueprints.contract import answers, asks, read_query, takes
from blueprints.lists import PAGED, Columns, ListQuery, PageQuery, listed, paged
from blueprints.proof import must_be_proved
from blueprints.shapes import Ended
from blueprints.shapes.admin import (
    Changed,
    Me,
    NewToken,
    PasswordChange,
    Sessions,
    Tokens,
    TokenWish,
)

blueprint = Blueprint("account", __name__)
API = "/api/v1/admin"
DAYS = 90
WIDE = frozenset({"admin", "deploy"})
"""Scopes that a session must be proved for."""
TOKENS: Columns[tokens.ApiToken] = {
    "name": lambda row: row.name,
    "scopes": lambda row: ", ".join(json.loads(row.scopes)),
    "created": lambda row: row.created,
    "expires": lambda row: row.expires,
    "used": lambda row: row.used,
}


def this() -> str:
    """The token of the session that asks; empty for API tokens and the CLI."""
    return session_token()


def render(errors: dict[str, str] | None = None, **more: Any) -> Any:
    own = tokens.of(g.account.id)
    page = render_template(
        "account/page.html",
        sessions=sessions.of(g.account.id, this()),
        tokens=listed(own, read_query(PageQuery), TOKENS, "/account"),
        known_tokens=len(own),
        scopes=rights.SCOPES,
        days=DAYS,
        second_factor=second_factor.is_on(g.account.id),
        errors=errors or {},
        form=request.form,
        **more,
    )
    return page, 422 if errors else 200


@blueprint.get("/account")
@requires("account")
def page() -> Any:
    return render()


@blueprint.get(f"{API}/account")
@requires("account")
@answers(Me)
def show() -> Any:
    """Who asks, as the node sees it."""
    return jsonify(id=g.account.id, name=g.account.name, roles=list(g.account.roles))


@blueprint.post("/account/password")
@requires("account")
def change_password_page() -> Any:
    form = request.form
    try:
        passwords.must_do(form.get("new", ""), g.account.name, form.get("again", ""))
        _change_password(form.get("present", ""), form.get("new", ""))
    except Invalid as problem:
        return render(problem.members["errors"])
    return render(said="The password is changed, and your other sessions have ended.")


@blueprint.post(f"{API}/account/password")
@requires("account")
@takes(PasswordChange)
@answers(Changed, problems=(422, 429))
def change_password(body: PasswordChange) -> Any:
    """Change the own password; the other sessions end."""
    _change_password(body.present, body.new)
    return jsonify(changed=True)


def _change_password(present: str, new: str) -> None:
    must_be_proved("change your password")
    accounts.change_password(g.account, present, new, remote_address(), this())


@blueprint.post("/account/sessions/<id_>/end")
@requires("account")
def end_session_page(id_: str) -> Any:
    sessions.end_one(g.account.id, id_)
    return redirect("/account", 303)


@blueprint.post("/account/sessions/end")
@requires("account")
def end_others_page() -> Any:
    sessions.end_all(g.account.id, but=this())
    return redirect("/account", 303)


@blueprint.get(f"{API}/sessions")
@requires("account")
@answers(Sessions)
def list_sessions() -> Any:
    """The own sessions, with browser and address."""
    found = [
        {
            "id": item.id,
            "browser": item.browser,
            "address": item.address,
            "created": clock.rfc3339(item.created),
            "seen": clock.rfc3339(item.seen),
            "is_this": item.is_this,
        }
        for item in sessions.of(g.account.id, this())
    ]
    return jsonify(sessions=found)


@blueprint.delete(f"{API}/sessions/<id_>")
@requires("account")
@answers(Ended)
def end_session(id_: str) -> Any:
    """End one of the own sessions."""
    sessions.end_one(g.account.id, id_)
    return jsonify(ended=id_)


@blueprint.delete(f"{API}/sessions")
@requires("account")
@answers(Ended)
def end_others() -> Any:
    """End all of the own sessions but the one that asks."""
    return jsonify(ended=sessions.end_all(g.account.id, but=this()))


@blueprint.post("/account/tokens")
@requires("account")
def create_token_page() -> Any:
    form = request.form
    try:
        days = number(form["days"]) if form.get("days") else None
        token, row = _create(form.get("name", ""), form.getlist("scopes"), days)
    except Invalid as problem:
        return render(problem.members["errors"])
    return render(token=token, token_name=row.name)


@blueprint.post("/account/tokens/<id_>/revoke")
@requires("account")
def revoke_token_page(id_: str) -> Any:
    tokens.revoke(g.account.id, id_)
    return redirect("/account", 303)


@blueprint.get(f"{API}/tokens")
@requires("account")
@asks(ListQuery)
@answers(Tokens, headers=PAGED)
def list_tokens(query: ListQuery) -> Any:
    """The own API tokens, without the tokens themselves."""
    found = listed(tokens.of(g.account.id), query, TOKENS)
    rows = [tokens.as_document(row) for row in found.rows]
    return paged(jsonify(tokens=rows), found)


@blueprint.post(f"{API}/tokens")
@requires("account")
@takes(TokenWish)
@answers(NewToken, 201)
def create_token(body: TokenWish) -> Any:
    """Make an API token, which is shown this once."""
    token, row = _create(body.name, body.scopes, body.days)
    return jsonify(token=token, **tokens.as_document(row)), 201


def _create(
    name: str, scopes: list[str], days: int | None
) -> tuple[str, tokens.ApiToken]:
    if WIDE.intersection(scopes):
        must_be_proved("make a token that may change things")
    return tokens.create(g.account, name, scopes, days, g.get("bearer"))


@blueprint.delete(f"{API}/tokens/<id_>")
@requires("account")
@answers(Ended)
def revoke_token(id_: str) -> Any:
    """End one of the own API tokens."""
    tokens.revoke(g.account.id, id_)
    return jsonify(ended=id_)


def number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Invalid("days: a whole number.", days="A whole number.") from None
