"""The main job as an operation: plan, build, register, place, boot, healthy, named.

Each step can be run again: what it made is named in the operation's memory
before the next one begins, and a failed or canceled deployment releases its
instance while the one that ran before goes on.
"""

from __future__ import annotations

from pathlib import Path

from appliance import pack
from appliance.config import settings
from appliance.market.boot import boot, healthy, start_holders
from appliance.market.handover import named, release, unname
from appliance.market.placement import place
from appliance.market.planning import plan
from appliance.market.registration import register, unregister
from appliance.operations import Kind, Run, Step
from appliance.problems import Problem


def build(run: Run) -> None:
    if "version" in run.params:
        run.log("The version's image is there.")
        return
    context = run.memory["context"]
    request = pack.request(
        settings(),
        pack.from_document(run.memory["formfile"]),
        Path(context) if context else None,
        refresh=bool(run.params.get("refresh")),
    )
    try:
        with pack.noted(run.should_end) as tally:
            made = pack.build(request, run.log, run.should_end, run.progress, tally)
    except Problem:
        run.check()  # a canceled build fails too; say what it was
        raise
    run.memory |= {"image": made.digest, "image_bytes": made.size_bytes}


DEPLOY = Kind(
    "deploy",
    (
        Step("plan", "Plan", plan, release),
        Step("build", "Build", build),
        Step("register", "Register", register, unregister),
        Step("place", "Place", place),
        Step("boot", "Boot", boot, start_holders),
        Step("healthy", "Healthy", healthy),
        Step("named", "Named", named, unname),
    ),
    owner=lambda subject, params: params.get("agent") or params["owner_name"],
    private=("formfile",),  # with hashes of guests' passwords
)
