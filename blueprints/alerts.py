"""Alerts: what fires, the rules, silences, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request
from markupsafe import Markup

from appliance import clock, operations
from appliance.admin.alerts import delivery, rules, runbooks, signals, store, targets
from appliance.admin.alerts.evaluation import Alert, silenced_by
from appliance.config import settings
from appliance.problems import Invalid
from blueprints import live
from blueprints.access import must_see, requires
from blueprints.broadcast import Update
from blueprints.contract import LOCATION, answers, asks, takes
from blueprints.shapes import Ended
from blueprints.shapes.alerts import (
    Alerts,
    AlertsQuery,
    Deliveries,
    MadeSilence,
    RuleChange,
    Rules,
    Silences,
    SilenceWish,
    Target,
    Targets,
    TargetWish,
)
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("alerts", __name__)
API = "/api/v1/admin/alerts"
ROWS = 100
HOURS = (1, 4, 24, 168)
PARTS = ("top", "now", "silences", "history")


def overview() -> dict[str, Any]:
    """What the page shows: alerts with the silence over each, and those resolved."""
    now = clock.now()
    quiet = store.silences(now)
    shown = [(alert, silenced_by(alert, quiet, now)) for alert in store.live()]
    return {
        "alerts": shown,
        "firing": [alert for alert, over in shown if is_loud(alert, over)],
        "silences": quiet,
        "history": store.history(ROWS),
        "rules": rules.every(),
        "targets": targets.every(),
        "hours": HOURS,
    }


def is_loud(alert: Alert, over: object) -> bool:
    return alert.state == "firing" and over is None


@blueprint.get("/alerts/")
@requires("auditor")
def page() -> Any:
    return render_template("alerts/index.html", **overview(), errors={}, form={})


@live.view("alerts", lambda subject: must_see(None))
def update(subject: str) -> Update:
    return Update(live.fragments("alerts", PARTS, overview(), prefix="alerts-"))


@blueprint.post("/alerts/silences")
@requires("operator")
def silence_form() -> Any:
    form = request.form
    try:
        store.silence(
            form.get("rule", ""),
            form.get("subject", "").strip(),
            3600 * form.get("hours", 0, type=int),
            form.get("why", ""),
            g.account.name,
        )
    except Invalid as problem:
        errors = problem.members["errors"]
        shown = {**overview(), "errors": errors, "form": form}
        return render_template("alerts/index.html", **shown), 422
    return redirect("/alerts/", 303)


@blueprint.post("/alerts/silences/<id_>/end")
@requires("operator")
def end_silence_form(id_: str) -> Any:
    store.end_silence(id_)
    return redirect("/alerts/", 303)


@blueprint.get("/alerts/rules")
@requires("auditor")
def rules_page() -> Any:
    return render_template("alerts/rules.html", rules=rules.every().values())


@blueprint.get("/alerts/rules/new")
@requires("operator")
def new_rule_page() -> Any:
    return rule_form(rules.Rule("", "", "", "above", ""), {})


@blueprint.get("/alerts/rules/<name>")
@requires("auditor")
def rule_page(name: str) -> Any:
    return rule_form(rules.get(name), {})


def rule_form(rule: Any, errors: Mapping[str, str]) -> str:
    return render_template(
        "alerts/rule.html",
        rule=rule,
        errors=errors,
        signals=rules.known_signals(),
        words=signals.WORDS,
        conditions=rules.CONDITIONS,
        severities=rules.SEVERITIES,
        runbooks=runbooks.names(),
        is_ours=rule.name in rules.DEFAULTS,
    )


@blueprint.post("/alerts/rules/<name>")
@requires("operator")
def change_rule_form(name: str) -> Any:
    form = request.form
    if name == "new":
        name = form.get("name", "").strip()
    texts = ("title", "signal", "condition", "value", "severity", "subjects", "runbook")
    wish: dict[str, Any] = {key: form.get(key, "").strip() for key in texts}
    wish["for_s"] = form.get("for_s", -1, type=int)
    wish["enabled"] = "enabled" in form
    try:
        rules.put(name, wish)
    except Invalid as problem:
        return rule_form(rules.Rule(name, **wish), problem.members["errors"]), 422
    return redirect("/alerts/rules", 303)


@blueprint.post("/alerts/rules/<name>/delete")
@requires("operator")
def forget_rule_form(name: str) -> Any:
    rules.forget(name)
    return redirect("/alerts/rules", 303)


@blueprint.get("/alerts/targets")
@requires("auditor")
def targets_page() -> Any:
    return show_targets({}, {})


def show_targets(form: Mapping[str, Any], errors: Mapping[str, str]) -> str:
    return render_template(
        "alerts/targets.html",
        targets=[targets.document(target) for target in targets.every()],
        deliveries=delivery.lately(ROWS),
        kinds=targets.KINDS,
        tls=targets.TLS,
        form=form,
        errors=errors,
    )


@blueprint.post("/alerts/targets")
@requires("operator")
def target_form() -> Any:
    """Set a target; fields that its kind does not have stay empty."""
    form = request.form
    is_mail = form.get("kind") == "email"
    members = ("host", "tls", "sender", "to", "user") if is_mail else ("url",)
    wish: dict[str, Any] = {key: form.get(key, "") for key in (*members, "secret")}
    wish["kind"] = form.get("kind", "")
    if is_mail:
        wish["port"] = form.get("port", 0, type=int)
    try:
        targets.put(settings(), form.get("name", "").strip(), wish)
    except Invalid as problem:
        return show_targets(form, problem.members["errors"]), 422
    return redirect("/alerts/targets", 303)


@blueprint.post("/alerts/targets/<name>/test")
@requires("operator")
def test_target_form(name: str) -> Any:
    return redirect(f"/operations/{submit_test(name)}", 303)


def submit_test(name: str) -> str:
    targets.get(name)
    return operations.submit(
        "alert-test",
        title=f"Telling {name} a test",
        subject=name,
        params={},
        account=g.account.id,
    )


@blueprint.post("/alerts/targets/<name>/delete")
@requires("operator")
def forget_target_form(name: str) -> Any:
    targets.forget(name)
    return redirect("/alerts/targets", 303)


@blueprint.get("/alerts/runbooks/<name>")
@requires("account")
def runbook(name: str) -> Any:
    text = runbooks.text(name)
    html = Markup(runbooks.as_html(text))  # noqa: S704 - it comes with the node
    title = runbooks.title(text)
    return render_template("alerts/runbook.html", title=title, html=html)


def document(alert: Alert) -> dict[str, Any]:
    """As the API shows it; `state` is silenced where a silence covers it."""
    now = clock.now()
    over = silenced_by(alert, store.silences(now), now)
    silenced = over is not None and alert.state == "firing"
    rule = rules.every().get(alert.rule)
    times = ("since", "fired", "ended")
    return {
        **{key: getattr(alert, key) for key in ("rule", "subject", "severity")},
        "title": alert.title,
        "value": alert.value,
        "state": "silenced" if silenced else alert.state,
        "silence": silence_document(over) if silenced and over else None,
        **{key: clock.rfc3339(getattr(alert, key)) for key in times},
        "runbook": f"/alerts/runbooks/{rule.runbook}"
        if rule and rule.runbook
        else None,
    }


def silence_document(found: Any) -> dict[str, Any]:
    times = {key: clock.rfc3339(getattr(found, key)) for key in ("until", "created")}
    return asdict(found) | times


@blueprint.get(API)
@requires("auditor")
@asks(AlertsQuery)
@answers(Alerts)
def index(query: AlertsQuery) -> Any:
    """What is pending, fires or is silenced; with `history` what was resolved too."""
    found = store.live()
    if query.history:
        found += store.history(ROWS)
    return jsonify(alerts=[document(alert) for alert in found])


@blueprint.get(f"{API}/rules")
@requires("auditor")
@answers(Rules)
def list_rules() -> Any:
    """The rules as they are now, and the signals that rules may be about."""
    return jsonify(
        rules=[asdict(rule) for rule in rules.every().values()],
        signals=rules.known_signals(),
    )


@blueprint.put(f"{API}/rules/<name>")
@requires("operator")
@takes(RuleChange)
@answers(rules.Rule)
def put_rule(name: str, body: RuleChange) -> Any:
    """Make a rule, or change what is sent of one."""
    return jsonify(asdict(rules.put(name, body.model_dump(exclude_unset=True))))


@blueprint.delete(f"{API}/rules/<name>")
@requires("operator")
@answers(Ended)
def delete_rule(name: str) -> Any:
    """Delete an own rule; one of the node's is again as it came."""
    rules.forget(name)
    return jsonify(ended=name)


@blueprint.get(f"{API}/silences")
@requires("auditor")
@answers(Silences)
def list_silences() -> Any:
    """The silences that last."""
    found = store.silences(clock.now())
    return jsonify(silences=[silence_document(one) for one in found])


@blueprint.post(f"{API}/silences")
@requires("operator")
@takes(SilenceWish)
@answers(MadeSilence, 201)
def post_silence(body: SilenceWish) -> Any:
    """Tell nobody of some alerts for a while; rule and subject may be empty for all"""
    made = store.silence(
        body.rule, body.subject, body.seconds, body.why, g.account.name
    )
    return jsonify(id=made), 201


@blueprint.delete(f"{API}/silences/<id_>")
@requires("operator")
@answers(Ended)
def delete_silence(id_: str) -> Any:
    """End a silence."""
    store.end_silence(id_)
    return jsonify(ended=id_)


@blueprint.get(f"{API}/targets")
@requires("auditor")
@answers(Targets)
def list_targets() -> Any:
    """Who is told of alerts; never a secret, nor the path of a webhook."""
    return jsonify(targets=[targets.document(one) for one in targets.every()])


@blueprint.put(f"{API}/targets/<name>")
@requires("operator")
@takes(TargetWish)
@answers(Target)
def put_target(name: str, body: TargetWish) -> Any:
    """Set who is told; a secret stays as long as it leads to the same place."""
    wish = body.model_dump(exclude_unset=True)
    return jsonify(targets.document(targets.put(settings(), name, wish)))


@blueprint.delete(f"{API}/targets/<name>")
@requires("operator")
@answers(Ended)
def delete_target(name: str) -> Any:
    """Tell one no more."""
    targets.forget(name)
    return jsonify(ended=name)


@blueprint.post(f"{API}/targets/<name>/test")
@requires("operator")
@answers(Operation, 202, headers=LOCATION)
def test_target(name: str) -> Any:
    """Send a test message now, as an operation that says how it went."""
    return accepted(submit_test(name))


@blueprint.get(f"{API}/deliveries")
@requires("auditor")
@answers(Deliveries)
def deliveries() -> Any:
    """Deliveries, newest first: to whom, what, how it ended."""
    keys = ("id", "message", "target", "state", "tries", "outcome")
    rows = [
        {key: getattr(row, key) for key in keys}
        | {"created": clock.rfc3339(row.created), "ended": clock.rfc3339(row.ended)}
        for row in delivery.lately(ROWS)
    ]
    return jsonify(deliveries=rows)
