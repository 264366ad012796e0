"""The node's accounts: operators change them, auditors look at them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance import clock, database, shares, state
from appliance.admin import (
    accounts,
    invitations,
    passwords,
    removal,
    second_factor,
    sessions,
    sharing,
    throttle,
    tokens,
)
from appliance.problems import Conflict, Invalid
from blueprints.access import public, requires
from blueprints.account import TOKENS
from blueprints.contract import answers, asks, read_query, takes
from blueprints.lists import PAGED, Columns, ListQuery, PageQuery, listed, paged
from blueprints.proof import proved
from blueprints.shapes import Ended
from blueprints.shapes.admin import (
    AccountChange,
    Accounts,
    AccountWish,
    AccountWithTokens,
    DeletedAccount,
    Link,
    NewAccount,
    Owned,
)

blueprint = Blueprint("accounts", __name__)
API = "/api/v1/admin/accounts"
COLUMNS: Columns[accounts.Credential] = {
    "name": lambda row: row.name,
    "roles": lambda row: ", ".join(json.loads(row.roles)),
    "state": lambda row: "disabled" if row.disabled else "active",
    "created": lambda row: row.created,
}


def create(
    name: str,
    roles: list[str],
    password: str = "",
    agents: dict[str, str] | None = None,
) -> str:
    """The account, with rights on agents; without a password, the path of the link
    that sets one."""
    sharing.must_be_shareable(agents or {})
    hashed = passwords.hash_password(password, name) if password else ""
    with database.node.atomic("immediate"):
        made = accounts.create(name, hashed, roles)
        for agent, right in (agents or {}).items():
            sharing.share(agent, made.name, right, g.account)
    return "" if password else link(made.name)


def link(name: str) -> str:
    return f"/password/{invitations.create(name)}"


def render_list(errors: dict[str, str] | None = None, **more: Any) -> Any:
    found = listed(accounts.everyone(), read_query(PageQuery), COLUMNS)
    page = render_template(
        "accounts/index.html",
        page=found,
        known=len(accounts.everyone()),
        roles=accounts.ROLES,
        agents=[record.id for record in state.select("agent")],
        rights=shares.RIGHTS,
        errors=errors or {},
        form=request.form,
        **more,
    )
    return page, 422 if errors else 200


def render_one(name: str, **more: Any) -> Any:
    row = accounts.credential(name)
    known, here = tokens.of(row.account), f"/admin/accounts/{row.name}"
    errors = more.setdefault("errors", {})
    page = render_template(
        "accounts/account.html",
        found=row,
        held=json.loads(row.roles),
        roles=accounts.ROLES,
        sessions=sessions.of(row.account),
        tokens=listed(known, read_query(PageQuery), TOKENS, here),
        known_tokens=len(known),
        left=removal.left_behind(name),
        shared=sharing.of(row.account),
        second_factor=second_factor.is_on(row.account),
        locked_out=throttle.locked_out(row.name, row.account),
        **more,
    )
    return page, 422 if errors else 200


def shown(path: str) -> str:
    """The link as the browser that asks for it reaches the node."""
    return request.host_url.rstrip("/") + path


@blueprint.get("/admin/accounts")
@requires("auditor")
def index_page() -> Any:
    return render_list()


def rights_in(form: Mapping[str, str]) -> dict[str, str]:
    """Agents with the rights that were chosen, as the fields `right:OWNER/NAME`."""
    chosen = ((key.partition(":"), value) for key, value in form.items() if value)
    return {agent: value for (what, _, agent), value in chosen if what == "right"}


@blueprint.post("/admin/accounts")
@requires("operator")
@proved("create an account")
def create_page() -> Any:
    form = request.form
    name = form.get("name", "").strip().lower()
    try:
        password = form.get("password", "")
        path = create(name, form.getlist("roles"), password, rights_in(form))
    except Invalid as problem:
        return render_list(problem.members["errors"])
    except Conflict as problem:
        return render_list({"name": problem.detail})
    if not path:
        return redirect(f"/admin/accounts/{name}", 303)
    return render_one(name, link=shown(path))


@blueprint.get("/admin/accounts/<name>")
@requires("auditor")
def show_page(name: str) -> Any:
    return render_one(name)


@blueprint.post("/admin/accounts/<name>/roles")
@requires("operator")
@proved("change roles")
def roles_page(name: str) -> Any:
    try:
        accounts.change_roles(name, request.form.getlist("roles"))
    except Invalid as problem:
        return render_one(name, errors=problem.members["errors"])
    except Conflict as problem:
        return render_one(name, errors={"roles": problem.detail})
    return redirect(f"/admin/accounts/{name}", 303)


@blueprint.post("/admin/accounts/<name>/disable")
@requires("operator")
@proved("disable an account")
def disable_page(name: str) -> Any:
    try:
        accounts.disable(name)
    except Conflict as problem:
        return render_one(name, errors={"disable": problem.detail})
    return redirect(f"/admin/accounts/{name}", 303)


@blueprint.post("/admin/accounts/<name>/enable")
@requires("operator")
@proved("enable an account")
def enable_page(name: str) -> Any:
    accounts.disable(name, disabled=False)
    return redirect(f"/admin/accounts/{name}", 303)


@blueprint.post("/admin/accounts/<name>/release")
@requires("operator")
def release_page(name: str) -> Any:
    throttle.release(name, accounts.credential(name).account)
    return redirect(f"/admin/accounts/{name}", 303)


@blueprint.post("/admin/accounts/<name>/password")
@requires("operator")
@proved("take a password away")
def reset_page(name: str) -> Any:
    return render_one(name, link=shown(link(name)))


@blueprint.post("/admin/accounts/<name>/tokens/<id_>/revoke")
@requires("operator")
def revoke_page(name: str, id_: str) -> Any:
    tokens.revoke(accounts.credential(name).account, id_)
    return redirect(f"/admin/accounts/{name}", 303)


@blueprint.post("/admin/accounts/<name>/delete")
@requires("operator")
@proved("delete an account")
def delete_page(name: str) -> Any:
    try:
        removal.delete(name)
    except Conflict as problem:
        return render_one(name, errors={"delete": problem.detail})
    return redirect("/admin/accounts", 303)


@blueprint.get("/password/<token>")
@public
def set_password_page(token: str) -> Any:
    account = invitations.find(token)
    return render_template("accounts/password.html", name=account.name, errors={})


@blueprint.post("/password/<token>")
@public
def set_password(token: str) -> Any:
    account, form = invitations.find(token), request.form
    g.tried = account.name
    try:
        password = form.get("password", "")
        passwords.must_do(password, account.name, form.get("again", ""))
        invitations.accept(token, password)
    except Invalid as problem:
        errors = problem.members["errors"]
        page = render_template(
            "accounts/password.html", name=account.name, errors=errors
        )
        return page, 422
    return redirect("/login", 303)


def document(row: accounts.Credential) -> dict[str, Any]:
    return accounts.as_document(row) | {
        "owns": removal.left_behind(row.name),
        "locked_out": throttle.locked_out(row.name, row.account),
    }


@blueprint.get(API)
@requires("auditor")
@asks(ListQuery)
@answers(Accounts, headers=PAGED)
def index(query: ListQuery) -> Any:
    """The node's accounts."""
    found = listed(accounts.everyone(), query, COLUMNS)
    rows = [accounts.as_document(row) for row in found.rows]
    return paged(jsonify(accounts=rows), found)


@blueprint.post(API)
@requires("operator")
@proved("create an account")
@takes(AccountWish)
@answers(NewAccount, 201, problems=(409,))
def create_account(body: AccountWish) -> Any:
    """Create an account; without a password, with a link that sets one."""
    name = body.name.strip().lower()
    path = create(name, body.roles, body.password or "", body.agents)
    return jsonify(document(accounts.credential(name)) | _linked(path)), 201


def _linked(path: str) -> dict[str, Any]:
    expires = clock.rfc3339(clock.now() + invitations.HOURS * 3600)
    return {"set_password": path, "expires": expires} if path else {}


@blueprint.get(f"{API}/<name>")
@requires("auditor")
@answers(AccountWithTokens)
def show(name: str) -> Any:
    """One account, with what it owns and its tokens."""
    row = accounts.credential(name)
    found = [tokens.as_document(token) for token in tokens.of(row.account)]
    agents = {row.agent: row.right for row in sharing.of(row.account)}
    return jsonify(document(row) | {"tokens": found, "agents": agents})


@blueprint.patch(f"{API}/<name>")
@requires("operator")
@proved("change an account")
@takes(AccountChange)
@answers(Owned, problems=(409,))
def change(name: str, body: AccountChange) -> Any:
    """Change an account's roles, disable or enable it."""
    if body.roles is None and body.disabled is None:
        raise Invalid('Send {"roles": […]}, {"disabled": true or false}, or both.')
    if body.roles is not None:
        accounts.change_roles(name, body.roles)
    if body.disabled is not None:
        accounts.disable(name, body.disabled)
    return jsonify(document(accounts.credential(name)))


@blueprint.post(f"{API}/<name>/password")
@requires("operator")
@proved("take a password away")
@answers(Link)
def reset(name: str) -> Any:
    """Take the password away: a link sets the next one."""
    return jsonify(_linked(link(name)))


@blueprint.delete(f"{API}/<name>/tokens/<id_>")
@requires("operator")
@answers(Ended)
def revoke(name: str, id_: str) -> Any:
    """End another account's API token."""
    tokens.revoke(accounts.credential(name).account, id_)
    return jsonify(ended=id_)


@blueprint.delete(f"{API}/<name>")
@requires("operator")
@proved("delete an account")
@answers(DeletedAccount, problems=(409,))
def delete(name: str) -> Any:
    """Delete an account. Its agents and instances go on, and are for operators to
    change."""
    left = removal.left_behind(name)
    removal.delete(name)
    return jsonify(deleted=name, left_behind=left)


@blueprint.delete(f"{API}/<name>/lock")
@requires("operator")
@answers(Owned)
def release(name: str) -> Any:
    """Forget an account's failed log-ins, so that it is not refused any longer."""
    row = accounts.credential(name)
    throttle.release(row.name, row.account)
    return jsonify(document(row))
