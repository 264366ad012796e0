"""What takes the node's disk, and freeing it: images, layers, volumes."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request

from appliance import operations, pack
from appliance.admin import storage
from appliance.admin.rights import may
from appliance.config import settings
from appliance.problems import NotFound, Unavailable
from blueprints.access import may_see, must_change, requires
from blueprints.contract import LOCATION, answers, takes
from blueprints.proof import must_be_proved
from blueprints.shapes.admin import Images, Layers, Storage, Volumes
from blueprints.shapes.machines import Collect
from blueprints.shapes.operations import Operation
from blueprints.vmm import accepted

blueprint = Blueprint("storage", __name__)
SHOWN = 8  # characters of a digest that name one image


def report() -> storage.Document:
    return storage.report(settings())


@blueprint.get("/api/v1/admin/storage")
@requires("account")
@answers(Storage, problems=(503,))
def show() -> Any:
    """What takes the node's disk."""
    found = {k: v for k, v in report().items() if k not in ("images", "layers")}
    return jsonify({**found, "volumes": visible(found)})


def visible(found: storage.Document) -> list[storage.Document]:
    """The volumes that the caller may see."""
    return [v for v in found["volumes"] if may_see(f"{v['owner']}/{v['agent']}")]


@blueprint.get("/api/v1/pack/images")
@requires("auditor")
@answers(Images, problems=(503,))
def images() -> Any:
    """Images that are kept, the largest first."""
    return listed("images")


@blueprint.get("/api/v1/pack/layers")
@requires("auditor")
@answers(Layers, problems=(503,))
def layers() -> Any:
    """Build layers that are kept, the largest first."""
    return listed("layers")


def listed(kind: str) -> Any:
    found = report()
    sums = ("kept", "bound", "over_bytes", "unused_bytes", "measured")
    return jsonify({kind: found[kind], **{name: found[name] for name in sums}})


@blueprint.post("/api/v1/pack/collect")
@requires("operator")
@takes(Collect, optional=True)
@answers(Operation, 202, problems=(), headers=LOCATION)
def collect(body: Collect) -> Any:
    """Remove images and layers down to the bound, or all that is unused."""
    return accepted(submit_collect(body.everything))


@blueprint.delete("/api/v1/pack/images/<digest>")
@requires("operator")
@answers(Operation, 202, problems=(409, 503), headers=LOCATION)
def delete_image(digest: str) -> Any:
    """Delete an image, named by the beginning of its digest."""
    return accepted(submit_image(digest))


@blueprint.get("/api/v1/vmm/volumes")
@requires("account")
@answers(Volumes, problems=(503,))
def volumes() -> Any:
    """Volumes of agents that you may see."""
    return jsonify(volumes=visible(report()))


@blueprint.delete("/api/v1/vmm/volumes/<owner>/<agent>/<name>")
@requires("developer")
@answers(Operation, 202, problems=(409, 503), headers=LOCATION)
def delete_volume(owner: str, agent: str, name: str) -> Any:
    """Delete a volume that nothing uses."""
    must_be_proved("delete a volume")
    return accepted(submit_volume(owner, agent, name))


@blueprint.get("/pack/")
@requires("auditor")
def images_page() -> Any:
    return render_template("pack/index.html", **shown())


@blueprint.get("/admin/storage")
@requires("account")
def page() -> Any:
    return render_template("admin/storage.html", **shown())


def shown() -> dict[str, Any]:
    """The report, or why there is none yet; and what this account may do."""
    rights = {
        "may_free": may(g.account, "operator"),
        "may_see_images": may(g.account, "auditor"),
    }
    try:
        found = report()
    except Unavailable as problem:
        return {"report": {}, "why": problem.detail, **rights}
    return {"report": {**found, "volumes": visible(found)}, "why": "", **rights}


@blueprint.post("/pack/collect")
@requires("operator")
def collect_page() -> Any:
    return follow(submit_collect(bool(request.form.get("everything"))))


@blueprint.post("/pack/images/<digest>/delete")
@requires("operator")
def delete_image_page(digest: str) -> Any:
    return follow(submit_image(digest))


@blueprint.get("/vmm/volumes/<owner>/<agent>/<name>/delete")
@requires("developer")
def delete_volume_page(owner: str, agent: str, name: str) -> Any:
    return confirm(volume(owner, agent, name))


@blueprint.post("/vmm/volumes/<owner>/<agent>/<name>/delete")
@requires("developer")
def delete_volume_form(owner: str, agent: str, name: str) -> Any:
    """Deletes once the agent's name was typed: what is on it is nowhere else."""
    found = volume(owner, agent, name)
    if request.form.get("confirm", "").strip() != f"{owner}/{agent}":
        return confirm(found, f"Type {owner}/{agent}; nothing was deleted."), 422
    must_be_proved("delete a volume")
    return follow(submit_volume(owner, agent, name))


def confirm(found: storage.Document, error: str = "") -> str:
    return render_template("vmm/volume_delete.html", volume=found, error=error)


def volume(owner: str, agent: str, name: str) -> storage.Document:
    """The volume as it was measured, for those who may delete it."""
    must_change(owner)
    for found in report()["volumes"]:
        if (found["owner"], found["agent"], found["name"]) == (owner, agent, name):
            return dict(found)
    raise NotFound("volume-unknown", f"{owner}/{agent} has no volume {name}.")


def follow(operation: str) -> Any:
    return redirect(f"/operations/{operation}", 303)


def submit(kind: str, title: str, subject: str, **params: Any) -> str:
    return operations.submit(
        kind, title=title, subject=subject, params=params, account=g.account.id
    )


def submit_collect(everything: bool) -> str:
    title = "Freeing all that nothing uses" if everything else "Collecting"
    return submit("collect", title, "images", everything=everything)


def submit_image(start: str) -> str:
    """Queue the deletion of the one image whose digest begins so."""
    found = [i for i in report()["images"] if i["key"].startswith(start)]
    if len(found) != 1 or len(start) < SHOWN:
        raise NotFound(
            "image-unknown",
            f"{len(found)} images begin with {start[:64]!r}; give at least {SHOWN} "
            "characters of one digest, as form pack images shows them.",
        )
    digest = found[0]["key"]
    pack.must_be_free(digest, None if found[0]["unused"] else found[0]["users"])
    return submit("image-delete", f"Deleting the image {digest[:12]}", digest)


def submit_volume(owner: str, agent: str, name: str) -> str:
    """Queue the deletion of a volume, where nothing needs it."""
    volume(owner, agent, name)
    title = f"Deleting the volume {name} of {owner}/{agent}"
    return submit("volume-delete", title, f"{owner}/{agent}/{name}")
