"""The first step of a deployment: what is to be built, of which version, or why not."""

from __future__ import annotations

import shutil
from pathlib import Path

from appliance import pack, state
from appliance.config import settings
from appliance.market import orders, turns, versions
from appliance.market.placement import choose_gpus
from appliance.operations import Run
from appliance.problems import Conflict, NotFound, Problem


def plan(run: Run) -> None:
    """Unpack the upload, check the Formfile, give the build its id."""
    if "version" in run.params:
        _plan_registered(run)
        return
    context = settings().data_dir / "contexts" / run.id
    shutil.rmtree(context, ignore_errors=True)
    upload = run.params.get("upload")
    if upload:
        pack.unpack_isolated(Path(upload), context)
    folder = context if upload else None
    checked = pack.check(run.params["formfile"], folder)
    for item in checked.diagnostics:
        run.log(f"line {item.line}, column {item.column}: {item.message} {item.hint}")
    if checked.formfile is None:
        raise orders.invalid(checked)
    formfile = checked.formfile
    agent = f"{run.params['owner_name']}/{formfile.name}"
    _await_turn(run, agent)
    versions.must_be_unused(agent, formfile.version)
    _must_have_secrets(run.params["owner_name"], formfile)
    choose_gpus(agent, formfile)
    run.memory |= {
        "instance": run.id,
        "formfile": pack.as_document(formfile, whole=True),
        "context": str(folder) if folder else None,
        "build_id": pack.build_id(formfile, formfile.base, folder),
        "agent": agent,
    }


def _plan_registered(run: Run) -> None:
    """A version that is registered already, by the image that was built for it."""
    _await_turn(run, run.params["version"].partition("@")[0])
    record = state.find("version", run.params["version"])
    if record is None:
        raise NotFound(
            "version-unknown", f"There is no version {run.params['version']}."
        )
    body = record.body
    if not (settings().images_dir / f"{body['image']}.qcow2").exists():
        raise Conflict(
            "image-gone",
            f"The image of {record.id} was removed to make room; deploy its folder "
            "again.",
        )
    formfile = pack.from_document({**body["formfile"], "steps": []})
    _must_have_secrets(run.params["owner_name"], formfile)
    choose_gpus(body["agent"], formfile)
    if any(user.passwd_hash is None for user in formfile.users):
        run.log("Passwords of its USERs are not kept with a version; they have none.")
    run.memory |= {
        "instance": run.id,
        "formfile": pack.as_document(formfile, whole=True),
        "context": None,
        "build_id": body["build_id"],
        "image": body["image"],
        "version": body["version"],
        "agent": body["agent"],
    }


def _await_turn(run: Run, agent: str) -> None:
    """Deployments and deletions of one agent go one after the other."""
    run.remember(agent=agent)
    turns.wait(run, agent)


def _must_have_secrets(owner: str, formfile: pack.Formfile) -> None:
    from appliance.market.secrets import names

    missing = sorted(set(formfile.secrets) - set(names(owner, formfile.name)))
    if missing:
        raise Problem(
            "secret-missing",
            f"{formfile.name} needs {', '.join(missing)}: set it with "
            f"form secret set {formfile.name} {missing[0]}",
            status=422,
        )
