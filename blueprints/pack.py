"""Deploying: the editor, the check while typing, the upload."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from flask import Blueprint, Response, g, jsonify, render_template, request

from appliance import operations, pack
from appliance.config import settings
from appliance.market import orders
from appliance.problems import NotFound, Problem
from blueprints.access import requires
from blueprints.contract import LOCATION, answers, takes
from blueprints.shapes.machines import Order
from blueprints.shapes.operations import Operation

blueprint = Blueprint("pack", __name__)
EXAMPLES = Path(__file__).parents[1] / "examples"
HELLO = """NAME hello
DESCRIPTION A web server that says hello
INSTALL python3
RUN mkdir -p /srv/www && echo hello > /srv/www/index.html
WORKDIR /srv/www
EXPOSE 8000
HEALTHCHECK /
ENTRYPOINT ["python3", "-m", "http.server", "8000"]
"""


def examples() -> dict[str, Path]:
    """Agents to start from, by name."""
    files = sorted(EXAMPLES.glob("*/Formfile"))
    return {file.parent.name: file.parent for file in files}


@blueprint.get("/pack/deploy")
@requires("developer")
def page() -> Any:
    name = request.args.get("example", "")
    text = HELLO
    if name:
        folder = example(name)
        text = (folder / "Formfile").read_text()
    return show(text, pack.check(text).diagnostics, example=name)


def example(name: str) -> Path:
    if name not in examples():
        raise NotFound("example-unknown", f"There is no example {name[:60]!r}.")
    return examples()[name]


def show(
    text: str,
    diagnostics: Any,
    status: int = 200,
    **members: Any,
) -> Any:
    """The page with what was typed; `members`: refresh, example, refused (why the
    upload is), and its Formfile as `uploaded` with `found`."""
    return render_template(
        "pack/deploy.html",
        formfile=text,
        diagnostics=diagnostics,
        examples=list(examples()),
        limit_mib=settings().http.max_upload_mib,
        **members,
    ), status


@blueprint.post("/pack/check")
@requires("developer", "read", "deploy", audited=False)
def check_part() -> Any:
    checked = pack.check(request.form.get("formfile", ""))
    return render_template("pack/findings.html", diagnostics=checked.diagnostics)


@blueprint.post("/api/v1/pack/check")
@requires("developer", "read", "deploy", audited=False)
@takes(None, media="text/plain")
@answers(list[pack.Diagnostic])
def check() -> Any:
    """Check a Formfile, which is the body; what was found, by line and column."""
    checked = pack.check(request.get_data(cache=False))
    return Response(
        pack.diagnostics_json(checked.diagnostics), mimetype="application/json"
    )


@blueprint.post("/pack/deploy")
@requires("developer")
def deploy_page() -> Any:
    text = request.form.get("formfile", "").replace("\r\n", "\n")
    members: dict[str, Any] = {
        "refresh": bool(request.form.get("refresh")),
        "example": request.form.get("example", ""),
    }
    order = None
    try:
        order = receive(text)
        return go_to(f"/operations/{submit(order)}")
    except Problem as problem:
        if problem.status != 422:
            raise
        diagnostics: Any = pack.check(text).diagnostics
        found = problem.members.get("diagnostics")
        if order is None or found is None:
            members["refused"] = problem.detail
        elif order.is_uploaded:
            members |= {"uploaded": lines(order), "found": found}
        else:
            diagnostics = found
        return show(text, diagnostics, 422, **members)


def go_to(path: str) -> Response:
    """To another page, with its own scripts, also where htmx sent the form."""
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Redirect": path})
    return Response(status=303, headers={"Location": path})


def lines(order: orders.Order) -> list[str]:
    """The uploaded Formfile, to show beside its errors."""
    text = order.text or ""
    shown = text if isinstance(text, str) else text.decode(errors="replace")
    return pack.conceal_roughly(shown).split("\n")[:2000]


@blueprint.post("/api/v1/pack/deployments")
@requires("developer")
@takes(Order, media="multipart/form-data")
@answers(Operation, 202, problems=(404, 409, 422), headers=LOCATION)
def deploy() -> Any:
    """Build and deploy what is sent: an archive, files, an example or text."""
    id_ = submit(receive(request.form.get("formfile")))
    answer = jsonify(operations.as_document(operations.get(id_)))
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/operations/{id_}"
    return answer


def receive(typed: str | None) -> orders.Order:
    """What was sent: an archive, the files of a folder, an example, or text alone."""
    refresh = bool(request.form.get("refresh"))
    sent = [file for file in request.files.getlist("archive") if file.filename]
    files = [file for file in request.files.getlist("folder") if file.filename]
    name = request.form.get("example")
    if not (sent or files or name):
        return orders.Order(typed, refresh=refresh)
    path = orders.new_path()
    if sent:
        with tempfile.TemporaryFile(dir=path.parent) as archive:
            upload = pack.of_archive(saved(sent[0], archive), path)
    elif files:
        named = ((str(file.filename), file.stream) for file in files)
        upload = pack.of_files(named, path)
    else:
        upload = pack.of_folder(example(name or ""), path)
    # an example's Formfile is in the editor
    if not (sent or files) or (typed and request.form.get("use_text")):
        upload = replace(upload, formfile=None)
    if upload.formfile is None and (typed or "").strip() == HELLO.strip():
        typed = None  # nobody means the text that the page begins with
    return orders.Order(typed or None, upload, path, refresh)


def saved(sent: Any, archive: IO[bytes]) -> IO[bytes]:
    sent.save(archive)
    archive.flush()
    archive.seek(0)
    return archive


def submit(order: orders.Order) -> str:
    return orders.submit(order, g.account.id, g.account.name)
