"""The set-up wizard: claim, checks, node, account, services, done."""

from __future__ import annotations

from secrets import compare_digest
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from appliance import wake
from appliance.admin import setup
from appliance.admin.checks import all_checks
from appliance.config import settings
from appliance.problems import Invalid, Problem
from appliance.service import Check, Verdict, services
from blueprints.access import cookie, public, remote_address, start_session
from blueprints.machine import answers_of, short

blueprint = Blueprint("setup", __name__, url_prefix="/setup")
CLAIMED = "formation-claim"


@blueprint.before_request
def gone() -> None:
    if setup.is_done(settings()):
        raise Problem("setup-done", "This node is set up already.", status=410)


def has_claimed() -> bool:
    path = setup.claim_file(settings())
    return path.exists() and compare_digest(
        request.cookies.get(cookie(CLAIMED), "").encode(), path.read_bytes()
    )


def verdicts() -> list[tuple[Check, Verdict]]:
    return [(check, check.run(settings())) for check in all_checks()]


def page(step: str, errors: dict[str, str] | None = None, status: int = 200) -> Any:
    return render_template(
        f"setup/{step}.html",
        step=step,
        steps=setup.steps(),
        errors=errors or {},
        form=request.form or setup.saved().get(step, {}),
        proposed=setup.node_defaults(settings()),
        checks=verdicts() if step == "checks" else [],
        services=services().values(),
        **(setup.machine_proposals() if step == "machine" else {}),
    ), status


@blueprint.get("/")
@public
def begin() -> Any:
    return redirect(url_for("setup.show", step="claim"))


@blueprint.get("/<step>")
@public
def show(step: str) -> Any:
    if step not in setup.steps():
        raise Problem("not-found", f"There is no step {step!r}.", status=404)
    if step != "claim" and not has_claimed():
        return redirect(url_for("setup.show", step="claim"))
    return page(step)


@blueprint.get("/checks/verdicts")
@public
def verdicts_part() -> Any:
    """The checks again, while one of them is still at work."""
    if not has_claimed():
        raise Problem("claim-needed", "Enter the claim code first.", status=403)
    return render_template("setup/verdicts.html", checks=verdicts())


@blueprint.post("/<step>")
@public
def answer(step: str) -> Any:
    if step != "claim" and not has_claimed():
        raise Problem("claim-needed", "Enter the claim code first.", status=403)
    if step not in ANSWERS:
        raise Problem("not-found", f"There is no step {step!r}.", status=404)
    try:
        return ANSWERS[step]()
    except Invalid as problem:
        return page(step, short(problem.members["errors"]) | {"": problem.detail}, 422)


def next_page(step: str) -> Answer:
    steps = setup.steps()
    following = steps[steps.index(step) + 1]
    return redirect(url_for("setup.show", step=following), 303)


def claim() -> Answer:
    code = request.form.get("code", "")
    setup.claim(settings(), code, remote_address())
    forward = redirect(url_for("setup.show", step=setup.next_step()), 303)
    forward.set_cookie(
        cookie(CLAIMED),
        code.strip().lower(),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return forward


def checks() -> Answer:
    setup.save("checks", {})
    return next_page("checks")


def node() -> Answer:
    keys = ("name", "region", "cidr", "zone")
    form = {key: request.form[key] for key in keys if request.form.get(key)}
    setup.save("node", setup.node_answers(settings(), {"name": "", **form}))
    return next_page("node")


def machine() -> Answer:
    """What is as the machine has it already is no wish."""
    wish = answers_of(request.form)
    if wish.get("network") == {"method": "dhcp", "dns": []}:
        del wish["network"]
    if not wish.get("ssh_keys"):
        wish.pop("ssh_keys", None)
    setup.save("machine", setup.machine_answers(wish))
    return next_page("machine")


def account() -> Answer:
    form = request.form
    typed = (form.get(key, "") for key in ("name", "password", "again"))
    answers = setup.account_answers(*typed)
    setup.save("account", answers)
    return next_page("account")


def chosen() -> Answer:
    setup.save("services", {"chosen": request.form.getlist("chosen")})
    return next_page("services")


def done() -> Response:
    operator = setup.finish(settings())
    for process in wake.PROCESSES:
        wake.notify(settings().run_dir, process, "setup")
    forward = Response(status=303, headers={"Location": "/"})
    start_session(forward, operator)
    forward.delete_cookie(cookie(CLAIMED), secure=request.is_secure)
    return forward


ANSWERS = {
    "claim": claim,
    "checks": checks,
    "node": node,
    "machine": machine,
    "account": account,
    "services": chosen,
    "done": done,
}
