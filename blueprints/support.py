"""Support bundles: making one, and taking it along."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, send_file

from appliance.admin.support import shelf
from appliance.config import settings
from blueprints.access import requires
from blueprints.acts import follow
from blueprints.contract import LOCATION, answers
from blueprints.shapes.operations import Operation
from blueprints.shapes.repairs import Bundles
from blueprints.vmm import accepted

blueprint = Blueprint("support", __name__)
API = "/api/v1/admin/support"
MEDIA = "application/gzip"


@blueprint.get(API)
@requires("operator")
@answers(Bundles)
def index() -> Any:
    """The support bundles that are kept, the newest first."""
    return jsonify(bundles=[shelf.document(one) for one in shelf.bundles(settings())])


@blueprint.post(API)
@requires("operator")
@answers(Operation, 202, headers=LOCATION)
def make() -> Any:
    """Make a support bundle, as an operation; its id is the bundle's."""
    return accepted(shelf.request(g.account.id))


@blueprint.get(f"{API}/<id_>")
@requires("operator")
@answers(None, media=MEDIA, text="A tar of text and JSON.")
def fetch(id_: str) -> Any:
    """A support bundle, as a file."""
    return sent(id_)


@blueprint.post("/repairs/support")
@requires("operator")
def make_page() -> Any:
    return follow(shelf.request(g.account.id))


@blueprint.get("/repairs/support/<id_>")
@requires("operator")
def fetch_page(id_: str) -> Any:
    return sent(id_)


def sent(id_: str) -> Response:
    return send_file(
        shelf.file(settings(), id_),
        mimetype=MEDIA,
        as_attachment=True,
        download_name=f"formation-support-{id_}.tar.gz",
        etag=False,
        max_age=0,
    )
