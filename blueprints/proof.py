"""Asking for the password again before dangerous acts.

A view that is marked `proved` acts only where the session proved lately who sits
before it. Else the page asks, with all that was typed in hidden fields, and sends both
to the same address; the JSON API answers 403 `/problems/proof-needed`, and
`POST …/account/proof` proves it. Tokens and the CLI socket are not asked: a token has
no password behind it and needs the scope, and who may use the socket is root's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response, g, jsonify, render_template, request

from appliance import clock
from appliance.admin import proof, second_factor
from appliance.config import settings
from appliance.problems import Problem
from blueprints.access import remote_address, requires
from blueprints.contract import answers, takes
from blueprints.shapes.admin import ProofWish, Proved

blueprint = Blueprint("proof", __name__)
API = "/api/v1/admin/account/proof"
PASSWORD, CODE, NAME = "proof_password", "proof_code", "proof_name"  # noqa: S105
View = TypeVar("View", bound=Callable[..., Any])


class ProofNeeded(Problem):
    """The session's last proof is too old; `act` is what was to be done."""

    def __init__(self, act: str, errors: dict[str, str] | None = None) -> None:
        how = f'send {{"password", "code"}} to POST {API}'
        super().__init__(
            "proof-needed",
            f"To {act}, prove first that it is you: {how}, then ask again. Nothing was "
            "done.",
            status=403,
            title="Is it you?",
        )
        self.act = act
        self.wrong = errors or {}


def proved(act: str) -> Callable[[View], View]:
    """The view does something dangerous, which `act` says: "delete an account"."""

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            must_be_proved(act)
            return view(*arguments, **named)

        vars(guarded)["proved"] = act
        return guarded  # type: ignore[return-value]

    return wrap


def must_be_proved(act: str) -> None:
    """Raise ProofNeeded unless the session is proved, or proves itself by the form."""
    session = g.get("session")
    if session is None or proof.is_fresh(session):
        return
    if PASSWORD not in request.form:
        g.asks_proof = True
        raise ProofNeeded(act)
    try:
        give(request.form[PASSWORD], request.form.get(CODE, ""))
    except Problem as problem:
        errors = problem.members.get("errors", {"password": problem.detail})
        raise ProofNeeded(act, errors) from None


def give(password: str, code: str) -> None:
    proof.give(g.session, g.account, password, code, remote_address())


def show(problem: ProofNeeded) -> Response:
    """The form that asks, and afterwards goes on with what was sent."""
    sent = [
        (key, value)
        for key, values in request.form.lists()
        for value in values
        if key not in ("csrf", PASSWORD, CODE, NAME)
    ]
    page = render_template(
        "account/proof.html",
        act=problem.act,
        sent=sent,
        errors=problem.wrong,
        code=second_factor.is_on(g.account.id),
        minutes=settings().auth.proof_minutes,
    )
    answer = Response(page, status=problem.status)
    if request.headers.get("HX-Request"):
        answer.headers["Proof-Needed"] = "1"
        answer.headers["HX-Retarget"] = answer.headers["HX-Reselect"] = "main"
        answer.headers["HX-Reswap"] = "outerHTML"
    return answer


@blueprint.post(API)
@requires("account", "admin")
@takes(ProofWish)
@answers(Proved, problems=(409, 429))
def prove(body: ProofWish) -> Any:
    """Prove who you are, for `auth.proof_minutes`; only sessions need it."""
    if g.get("session") is None:
        raise Problem(
            "proof-unneeded",
            "Only sessions of browsers are asked; a token needs the scope alone.",
            status=409,
        )
    give(body.password, body.code)
    until = clock.now() + settings().auth.proof_minutes * 60
    return jsonify(proved_until=clock.rfc3339(until))
