"""What is kept about an account, given to it; and its erasure: a page and its calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request

from appliance.admin import erasure, personal
from appliance.problems import Conflict, Invalid, Problem
from blueprints.access import requires
from blueprints.contract import LOCATION, answers, takes
from blueprints.proof import proved
from blueprints.shapes.admin import Erasure, ErasureWish
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("personal", __name__)
OWN, ANY = "/api/v1/admin/account", "/api/v1/admin/accounts/<name>"
ZIP = "application/zip"
EXPORT, ERASE = "save what is kept about an account", "erase an account"


def archive(name: str) -> Response:
    """The export as a file that the browser saves."""
    file = personal.archive(name)
    answer = Response(pieces(file), mimetype=ZIP)
    answer.call_on_close(file.close)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.zip"'
    return answer


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(1 << 16):
            yield piece


def erase(name: str, confirm: str, heir: str) -> str:
    """The erasure's operation, once the name was typed; raises Problem."""
    if confirm.strip() != name:
        raise Invalid(
            f"confirm: type {name}; nothing was erased.", confirm=f"Type {name}."
        )
    return erasure.request(name, heir.strip().lower(), g.account)


def ask(name: str, path: str, problem: Problem | None = None) -> Any:
    """The page that says what an erasure takes, and asks."""
    wrong = problem.members.get("errors", {"": problem.detail}) if problem else {}
    page = render_template(
        "accounts/erase.html",
        found=erasure.prospect(name),
        path=path,
        errors=wrong,
        form=request.form,
        is_own=name == g.account.name,
    )
    return page, problem.status if problem else 200


def erase_by_form(name: str, path: str) -> Any:
    form = request.form
    try:
        heir = form.get("heir", "") if form.get("agents") == "hand over" else ""
        if form.get("agents") == "hand over" and not heir.strip():
            raise Invalid("heir: name an account.", heir="Name an account.")
        operation = erase(name, form.get("confirm", ""), heir)
    except (Invalid, Conflict) as problem:
        return ask(name, path, problem)
    if name == g.account.name:
        return render_template("accounts/erased.html")
    return redirect(f"/operations/{operation}", 303)


@blueprint.post("/account/export")
@requires("account", "admin", audited=False)
@proved(EXPORT)
def export_own_page() -> Any:
    return archive(g.account.name)


@blueprint.get("/account/erase")
@requires("account")
def erase_own_page() -> Any:
    return ask(g.account.name, "/account/erase")


@blueprint.post("/account/erase")
@requires("account", "admin")
@proved(ERASE)
def erase_own_form() -> Any:
    return erase_by_form(g.account.name, "/account/erase")


@blueprint.post("/admin/accounts/<name>/export")
@requires("operator")
@proved(EXPORT)
def export_page(name: str) -> Any:
    return archive(name)


@blueprint.get("/admin/accounts/<name>/erase")
@requires("operator")
def erase_page(name: str) -> Any:
    return ask(name, f"/admin/accounts/{name}/erase")


@blueprint.post("/admin/accounts/<name>/erase")
@requires("operator")
@proved(ERASE)
def erase_form(name: str) -> Any:
    return erase_by_form(name, f"/admin/accounts/{name}/erase")


@blueprint.get(f"{OWN}/export")
@requires("account", "admin")
@proved(EXPORT)
@answers(media=ZIP, problems=(404,))
def export_own() -> Any:
    """All that is kept about the own account, as JSON documents in a ZIP file."""
    return archive(g.account.name)


@blueprint.get(f"{OWN}/erasure")
@requires("account", "admin")
@answers(Erasure, problems=(404,))
def prospect_own() -> Any:
    """What erasing the own account would take."""
    return jsonify(erasure.as_document(erasure.prospect(g.account.name)))


@blueprint.post(f"{OWN}/erasure")
@requires("account", "admin")
@proved(ERASE)
@takes(ErasureWish)
@answers(Operation, 202, problems=(404, 409), headers=LOCATION)
def erase_own(body: ErasureWish) -> Any:
    """Erase the own account; its agents are deleted or handed over."""
    return accepted(erase(g.account.name, body.confirm, body.hand_over_to))


@blueprint.get(f"{ANY}/export")
@requires("operator", "admin")
@proved(EXPORT)
@answers(media=ZIP)
def export(name: str) -> Any:
    """All that is kept about an account, as JSON documents in a ZIP file."""
    return archive(name)


@blueprint.get(f"{ANY}/erasure")
@requires("operator", "admin")
@answers(Erasure)
def prospect(name: str) -> Any:
    """What erasing an account would take."""
    return jsonify(erasure.as_document(erasure.prospect(name)))


@blueprint.post(f"{ANY}/erasure")
@requires("operator")
@proved(ERASE)
@takes(ErasureWish)
@answers(Operation, 202, problems=(409,), headers=LOCATION)
def erase_one(name: str, body: ErasureWish) -> Any:
    """Erase an account; its agents are deleted or handed over."""
    return accepted(erase(name, body.confirm, body.hand_over_to))
