"""Deploying: the editor, the check while typing, the upload."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request

from appliance import clock, operations, pack
from appliance.config import settings
from appliance.problems import Invalid
from blueprints.access import requires

blueprint = Blueprint("pack", __name__)
EXAMPLE = """NAME hello
DESCRIPTION A web server that says hello
INSTALL python3
RUN mkdir -p /srv/www && echo hello > /srv/www/index.html
WORKDIR /srv/www
EXPOSE 8000
HEALTHCHECK /
ENTRYPOINT ["python3", "-m", "http.server", "8000"]
"""


@blueprint.get("/pack/deploy")
@requires("developer")
def page() -> Any:
    return render_template("pack/deploy.html", formfile=EXAMPLE, diagnostics=())


@blueprint.post("/pack/check")
@requires("developer", "read", "deploy", audited=False)
def check_part() -> Any:
    checked = pack.check(request.form.get("formfile", ""))
    return render_template("pack/diagnostics.html", diagnostics=checked.diagnostics)


@blueprint.post("/api/v1/pack/check")
@requires("developer", "read", "deploy", audited=False)
def check() -> Any:
    checked = pack.check(request.get_data(cache=False))
    return Response(
        pack.diagnostics_json(checked.diagnostics), mimetype="application/json"
    )


@blueprint.post("/pack/deploy")
@requires("developer")
def deploy_page() -> Any:
    text = request.form.get("formfile", "")
    if not has_file():
        checked = pack.check(text)
        if checked.formfile is None:
            return render_template(
                "pack/deploy.html", formfile=text, diagnostics=checked.diagnostics
            ), 422
    return redirect(f"/operations/{submit()}", 303)


@blueprint.post("/api/v1/pack/deployments")
@requires("developer")
def deploy() -> Any:
    id_ = submit()
    answer = jsonify(operations.as_document(operations.get(id_)))
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/operations/{id_}"
    return answer


def has_file() -> bool:
    file = request.files.get("archive")
    return bool(file and file.filename)


def submit() -> str:
    """Queue the deployment of what was sent."""
    text = request.form.get("formfile") or None
    if has_file() and not request.form.get("use_text"):
        text = None
    if text is None and not has_file():
        raise Invalid("Send a Formfile, or an archive that holds one.")
    if text is not None:
        checked = pack.check(text)
        if checked.formfile is None:
            first = next(d for d in checked.diagnostics if d.level == "error")
            raise Invalid(f"{first.message}; line {first.line}, column {first.column}")
        text = pack.conceal(text)
    upload = keep_upload() if has_file() else None
    return operations.submit(
        "deploy",
        title="Deploying an agent",
        subject=g.account.name,
        params={
            "upload": upload,
            "formfile": text,
            "owner_name": g.account.name,
            "refresh": bool(request.form.get("refresh")),
        },
        account=g.account.id,
    )


def keep_upload() -> str:
    """The archive's file, until its operation ends; nobody else may read it, since
    its Formfile may hold passwords."""
    path = settings().data_dir / "uploads" / clock.new_id()
    path.touch(mode=0o600, exist_ok=False)
    try:
        request.files["archive"].save(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return str(path)
