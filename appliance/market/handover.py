"""The end of a deployment: names lead to the new instance and what ran before is
released, or all is as it was."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from appliance import dns, events, state, vmm
from appliance.config import settings
from appliance.operations import Run
from appliance.problems import Problem


def named(run: Run) -> None:
    """Names lead to the new instance; what ran before is released."""
    zone, memory = dns.apex(settings()), run.memory
    owner, name = run.params["owner_name"], body_of(memory["instance"])["name"]
    names = []
    for fqdn in (f"{name}.{zone}", f"{name}.{owner}.{zone}"):
        holder = state.find("domain", fqdn)
        if holder and holder.body["agent"] != memory["agent"]:
            run.log(f"{fqdn} is {holder.body['agent']}'s and stays so")
            continue
        names.append(fqdn)
        body = {
            "name": fqdn,
            "agent": memory["agent"],
            "instance": memory["instance"],
            "kind": "internal",
        }
        state.put("domain", fqdn, body)
    _retire_others(run)
    shutil.rmtree(settings().data_dir / "contexts" / run.id, ignore_errors=True)
    if run.params.get("upload"):
        Path(run.params["upload"]).unlink(missing_ok=True)
    address = body_of(memory["instance"])["address"]
    memory["result"] = {
        "agent": memory["agent"],
        "version": memory["version"],
        "instance": memory["instance"],
        "address": address,
        "names": names,
    }
    memory["formfile"] = {}  # no password's hash outlives its deployment here
    events.happened(
        f"{memory['agent']} {memory['version']} was deployed",
        service="marketplace",
        subject=memory["agent"],
    )


def _retire_others(run: Run) -> None:
    for record in others(run):
        _retire(run, record.id)


def _retire(run: Run, instance: str) -> None:
    """Release an instance now, or leave it to vmm-service where that fails."""
    state.change("instance", instance, desired="deleted")
    try:
        vmm.shutdown(instance)
        vmm.delete(instance)
        vmm.forget(instance)
    except Problem as problem:
        run.log(f"{instance} is released later: {problem}")


def unname(run: Run) -> None:
    """Undo: names lead back to what ran before."""
    left = others(run)
    for domain in state.select("domain", instance=run.id):
        if left:
            state.put("domain", domain.id, {**domain.body, "instance": left[0].id})
        else:
            state.remove("domain", domain.id)


def release(run: Run) -> None:
    """Undo: the new instance goes, whatever ran before stays."""
    if state.find("instance", run.id):
        _retire(run, run.id)
    shutil.rmtree(settings().data_dir / "contexts" / run.id, ignore_errors=True)
    if run.params.get("upload"):
        Path(run.params["upload"]).unlink(missing_ok=True)
    if "formfile" in run.memory:
        run.memory["formfile"] = {}  # as in `named`


def others(run: Run) -> list[state.Record]:
    return [
        record
        for record in state.select("instance", agent=run.memory["agent"])
        if record.id != run.memory["instance"]
    ]


def body_of(instance: str) -> dict[str, Any]:
    record = state.find("instance", instance)
    if record is None:
        raise Problem("instance-deleted", "The instance was deleted meanwhile.")
    return record.body
