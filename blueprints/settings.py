"""Settings: the typed form, the text, what a change would be, its history.

A change is prepared here and shown; an operation of formation-jobs writes it.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance.admin import (
    configuration,
    options,
    settings_change,
    settings_file,
    settings_history,
)
from appliance.problems import Invalid, Problem
from blueprints.access import requires
from blueprints.contract import LOCATION, answers, takes
from blueprints.proof import must_be_proved
from blueprints.shapes import settings as shapes
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("settings", __name__)
API = "/api/v1/admin/settings"
GUARDED = frozenset({"auth", "http"})
"""Sections that decide who gets in: a session must be proved to change them."""
IF_MATCH = {"If-Match": "The ETag of the settings that are changed."}


@blueprint.get("/admin/settings")
@requires("auditor")
def page() -> Any:
    return form_page(settings_file.read(), {}, {})


def form_page(
    found: settings_file.Found, form: dict[str, str], wrong: dict[str, str]
) -> str:
    """The typed form; `form` is what was typed where it is not what is set."""
    entries = configuration.entries(found.text)
    broken = configuration.errors(found.text).get("", "")
    return render_template(
        "settings/index.html",
        found=found,
        sections=options.sections(),
        entries=entries,
        form=form,
        errors=wrong,
        broken=broken,
        pending=settings_change.pending(),
    )


@blueprint.get("/admin/settings/text")
@requires("auditor")
def text_page() -> Any:
    found = settings_file.read()
    return render_template(
        "settings/text.html", found=found, text=found.text, errors={}
    )


@blueprint.post("/admin/settings/preview")
@requires("operator", audited=False)
def preview_page() -> Any:
    """What a change would be, from the form or from the text; else what is wrong."""
    found, tag = settings_file.read(), request.form.get("tag", "")
    raw = "text" in request.form
    form = {k: v for k, v in request.form.items() if k in options.options()}
    try:
        settings_file.must_be(found, tag)
        text = unified(request.form["text"]) if raw else filled(found)
        configuration.must_be_right(text)
        if text == found.text:
            raise Invalid("Nothing differs from what is set.")
    except Problem as problem:
        wrong = {"": problem.detail, **problem.members.get("errors", {})}
        if not raw:
            return form_page(found, form, wrong), problem.status
        page = render_template(
            "settings/text.html", found=found, text=request.form["text"], errors=wrong
        )
        return page, problem.status
    return render_template(
        "settings/preview.html",
        tag=tag,
        text=text,
        changes=configuration.changes(found.text, text),
        lines=configuration.difference(found.text, text),
    )


def filled(found: settings_file.Found) -> str:
    """The file with what the form changes in it."""
    wanted = configuration.typed_in(found.text, request.form)
    return configuration.changed(found.text, wanted)


@blueprint.post("/admin/settings")
@requires("operator")
def save_page() -> Any:
    form = request.form
    text = unified(form.get("text", ""))
    operation = submit(text, form.get("tag", ""), form.get("why", ""))
    return redirect(f"/operations/{operation}", 303)


@blueprint.get("/admin/settings/history")
@requires("auditor")
def history_page() -> Any:
    rows = settings_history.newest()
    documents = [(row, settings_history.as_document(row)) for row in rows]
    return render_template("settings/history.html", rows=documents)


@blueprint.post("/admin/settings/history/<id_>/rollback")
@requires("operator")
def rollback_page(id_: str) -> Any:
    operation = submit_rollback(id_, settings_file.read().tag)
    return redirect(f"/operations/{operation}", 303)


def submit_rollback(id_: str, tag: str, why: str = "") -> str:
    """Queue that the file becomes again what it was before this change."""
    row = settings_history.find(id_)
    said = why or f"back to before change {row.id}"
    return submit(row.before, tag, said)


def submit(text: str, tag: str, why: str) -> str:
    """Queue a change; who lets people in is not decided from a browser left open."""
    changed = configuration.touched(settings_file.read().text, text)
    if changed & GUARDED:
        must_be_proved("change settings of " + " and ".join(sorted(changed & GUARDED)))
    return settings_change.submit(g.account, text, tag, why)


@blueprint.get(API)
@requires("auditor")
@answers(
    shapes.Settings,
    problems=(503,),
    headers={"ETag": "What a change must name in If-Match."},
)
def index() -> Any:
    """Every setting, with its source and when a change of it applies."""
    found = settings_file.read()
    entries = configuration.entries(found.text)
    answer = jsonify(
        file=str(found.path),
        text=found.text,
        errors=configuration.errors(found.text),
        settings=[entry_document(entry) for entry in entries],
    )
    answer.set_etag(found.tag)
    return answer


def entry_document(entry: configuration.Entry) -> dict[str, Any]:
    option = entry.option
    return {
        "name": option.name,
        "value": entry.value,
        "default": option.default,
        "source": entry.source,
        "variable": entry.variable or None,
        "kind": option.kind,
        "choices": list(option.choices),
        "help": option.help,
        "applies": option.applies,
        "restart": list(option.restart),
    }


@blueprint.patch(API)
@requires("operator")
@takes(shapes.SettingsPatch, headers=IF_MATCH)
@answers(Operation, 202, problems=(409, 428, 503), headers=LOCATION)
def patch(body: shapes.SettingsPatch) -> Any:
    """Change some settings."""
    found, tag = settings_file.read(), asked_tag()
    settings_file.must_be(found, tag)
    text = configuration.changed(found.text, body.changes)
    return accepted(submit(text, tag, body.why))


@blueprint.put(API)
@requires("operator")
@takes(shapes.SettingsText, headers=IF_MATCH)
@answers(Operation, 202, problems=(409, 428, 503), headers=LOCATION)
def put(body: shapes.SettingsText) -> Any:
    """Replace the whole file of settings."""
    text = unified(body.text)
    return accepted(submit(text, asked_tag(), body.why))


@blueprint.post(f"{API}/preview")
@requires("operator", audited=False)
@takes(shapes.SettingsTrial)
@answers(shapes.SettingsPreview, problems=(503,))
def preview(body: shapes.SettingsTrial) -> Any:
    """What a change would be, and what is wrong with it; nothing is changed."""
    if (body.changes is None) == (body.text is None):
        raise Invalid("Send either changes or text.")
    found = settings_file.read()
    if body.changes is None:
        text = unified(body.text or "")
    else:
        text = configuration.changed(found.text, body.changes)
    return jsonify(
        errors=configuration.errors(text),
        diff=configuration.difference(found.text, text),
        changes=[
            {
                "name": one.option.name,
                "before": one.before,
                "after": one.after,
                "applies": one.option.applies,
                "restart": list(one.option.restart),
            }
            for one in configuration.changes(found.text, text)
        ],
    )


@blueprint.get(f"{API}/history")
@requires("auditor")
@answers(shapes.SettingsHistory)
def history() -> Any:
    """Who changed the settings, the newest first."""
    rows = settings_history.newest()
    return jsonify(changes=[settings_history.as_document(row) for row in rows])


@blueprint.post(f"{API}/history/<id_>/rollback")
@requires("operator")
@takes(shapes.Why, optional=True, headers=IF_MATCH)
@answers(Operation, 202, problems=(409, 428, 503), headers=LOCATION)
def rollback(id_: str, body: shapes.Why) -> Any:
    """Make the file what it was before a change; If-Match may be left out."""
    tag = asked_tag() if request.if_match else settings_file.read().tag
    return accepted(submit_rollback(id_, tag, body.why))


def asked_tag() -> str:
    """The state of the file that the caller saw."""
    tags = list(request.if_match.as_set()) if request.if_match else []
    if len(tags) != 1:
        raise Problem(
            "settings-tag-missing",
            "Say which state of the settings you change: send the ETag of "
            f"GET {API} in If-Match. Nothing was changed.",
            status=428,
        )
    return str(tags[0])


def unified(text: str) -> str:
    """With the ends of lines that the file has."""
    return text.replace("\r\n", "\n")
