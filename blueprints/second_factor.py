"""The second factor of one's own account, and taking away that of another."""

from __future__ import annotations

import io
from typing import Any

import segno
from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance import state
from appliance.admin import accounts, second_factor
from appliance.config import settings
from appliance.problems import Conflict, Invalid, Problem
from blueprints.access import remote_address, requires
from blueprints.contract import answers, takes
from blueprints.proof import proved
from blueprints.shapes.admin import Code, RecoveryCodes, SecondFactor, SecretToConfirm

blueprint = Blueprint("second_factor", __name__)
API = "/api/v1/admin/account/second-factor"


def render(codes: list[str] | None = None, error: str = "", status: int = 200) -> Any:
    secret = second_factor.pending_secret(g.account.id)
    page = render_template(
        "account/second_factor.html",
        is_on=second_factor.is_on(g.account.id),
        left=second_factor.recovery_codes(g.account.id),
        secret=secret,
        picture=picture(secret) if secret else "",
        codes=codes or [],
        error=error,
    )
    return page, status


def address(secret: str) -> str:
    node = state.own_node(settings()).get("name", "")
    return second_factor.address(secret, g.account.name, node)


def picture(secret: str) -> str:
    """The QR code as SVG, which a strict CSP lets stand in the page."""
    drawn = io.BytesIO()
    segno.make(address(secret), micro=False).save(
        drawn, kind="svg", scale=5, xmldecl=False, svgns=False, light="#fff"
    )
    return drawn.getvalue().decode()


def confirmed(code: str) -> list[str]:
    account = g.account
    return second_factor.confirm(account.id, account.name, code, remote_address())


@blueprint.get("/account/second-factor")
@requires("account")
def page() -> Any:
    return render()


@blueprint.post("/account/second-factor")
@requires("account", "admin")
@proved("change your second factor")
def begin_page() -> Any:
    second_factor.begin(g.account.id)
    return redirect("/account/second-factor", 303)


@blueprint.post("/account/second-factor/confirm")
@requires("account", "admin")
@proved("change your second factor")
def confirm_page() -> Any:
    try:
        code = request.form.get("code", "")
        codes = confirmed(code)
    except (Invalid, Conflict) as problem:
        return render(error=problem.detail, status=problem.status)
    return render(codes)


@blueprint.post("/account/second-factor/off")
@requires("account", "admin")
@proved("turn your second factor off")
def off_page() -> Any:
    """Needs a code: who finds a browser open cannot turn it off."""
    try:
        code = request.form.get("code", "")
        second_factor.check(g.account.id, g.account.name, code, remote_address())
    except Problem as problem:
        return render(error=problem.detail, status=problem.status)
    second_factor.turn_off(g.account.id)
    return redirect("/account/second-factor", 303)


@blueprint.get(API)
@requires("account")
@answers(SecondFactor)
def show() -> Any:
    """Whether a code is asked for at log-in, and how many recovery codes are left."""
    id_ = g.account.id
    left = second_factor.recovery_codes(id_)
    return jsonify(on=second_factor.is_on(id_), recovery_codes=left)


@blueprint.post(API)
@requires("account", "admin")
@proved("change your second factor")
@answers(SecretToConfirm, 201, problems=(409,))
def begin() -> Any:
    """A fresh secret; it counts once a code of it was confirmed."""
    secret = second_factor.begin(g.account.id)
    return jsonify(secret=secret, address=address(secret)), 201


@blueprint.post(f"{API}/confirm")
@requires("account", "admin")
@proved("change your second factor")
@takes(Code)
@answers(RecoveryCodes, problems=(409, 429))
def confirm(body: Code) -> Any:
    """Turn it on by a code; gives the recovery codes, this once."""
    codes = confirmed(body.code)
    return jsonify(recovery_codes=codes)


@blueprint.delete("/api/v1/admin/accounts/<name>/second-factor")
@requires("operator")
@proved("take an account's second factor away")
@answers(SecondFactor, problems=(404, 409))
def take(name: str) -> Any:
    """Turn another's off, who lost it; its sessions end."""
    accounts.take_second_factor(name)
    return jsonify(on=False, recovery_codes=0)


@blueprint.post("/admin/accounts/<name>/second-factor/off")
@requires("operator")
@proved("take an account's second factor away")
def take_page(name: str) -> Any:
    accounts.take_second_factor(name)
    return redirect(f"/admin/accounts/{name}", 303)
