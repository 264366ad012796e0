"""Taking an agent, or one of its versions, out of the catalogue.

An agent goes with all that is its own; volumes only where that was asked for. Its
images become collectable, its tasks stay as history. Every step can be run again,
and the agent's record goes last, so that what a crash left is found again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance import events, operations, shares, state, vmm
from appliance.config import settings
from appliance.market import lifecycle, secrets, turns, versions
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, NotFound


@dataclass(frozen=True)
class Belongings:
    """What goes with an agent: ids of instances, versions, names, secrets' names."""

    instances: tuple[str, ...]
    versions: tuple[str, ...]
    names: tuple[str, ...]
    secrets: tuple[str, ...]


def belongings(agent: str) -> Belongings:
    owner, _, name = agent.partition("/")
    return Belongings(
        tuple(r.id for r in state.select("instance", agent=agent)),
        tuple(r.body["version"] for r in state.select("version", agent=agent)),
        tuple(r.id for r in state.select("domain", agent=agent)),
        tuple(secrets.names(owner, name)),
    )


def owner(subject: str, params: Mapping[str, Any]) -> str | None:
    return subject.partition("@")[0]


def request(agent: str, account: str, with_volumes: bool = False) -> str:
    """Queue the deletion of an agent, which ends what is under way on it; returns
    the operation's id. Raises NotFound or Conflict."""
    if state.find("agent", agent) is None:
        raise NotFound("agent-unknown", f"There is no agent {agent}.")
    must_not_be_leaving(agent)
    live = turns.at_work(agent)
    for instance in state.select("instance", agent=agent):
        live += lifecycle.at_work(instance.id)
    for operation in live:
        operations.cancel(operation.id)
    return operations.submit(
        "delete-agent",
        title=f"Deleting {agent}",
        subject=agent,
        params={"volumes": with_volumes},
        account=account,
    )


def must_not_be_leaving(agent: str) -> None:
    """Raise Conflict while the agent is being deleted."""
    for row in turns.at_work(agent):
        if row.kind == "delete-agent":
            raise Conflict(
                "agent-busy",
                f"{agent} is being deleted; wait for that, or end it: form operations "
                f"cancel {row.id}",
                operation=row.id,
            )


def release(run: Run) -> None:
    """Instances go, with their names and deployments."""
    turns.wait(run, run.subject)
    for record in state.select("instance", agent=run.subject):
        lifecycle.wait(run, record.id)
        with contextlib.suppress(NotFound):  # what was waited for has deleted it
            state.change("instance", record.id, desired="deleted")
        vmm.shutdown(record.id)  # volumes may stay: what is written is on them
        vmm.delete(record.id)
        vmm.forget(record.id)
        run.log(f"the instance {record.id} is released")


def unname(run: Run) -> None:
    """The short name, too, is free for the next who deploys an agent of that name."""
    for record in state.select("domain", agent=run.subject):
        state.remove("domain", record.id)
        run.log(f"{record.id} is free")


def forget_secrets(run: Run) -> None:
    owner, _, name = run.subject.partition("/")
    for secret in secrets.names(owner, name):
        secrets.remove(owner, name, secret)


def delete_volumes(run: Run) -> None:
    """Where it was asked for; else say what stays."""
    owner, _, name = run.subject.partition("/")
    config = settings()
    for volume in vmm.volumes(config):
        if (volume.owner, volume.agent) != (owner, name):
            continue
        size = f"{volume.bytes / 1e6:.0f} MB"
        if run.params.get("volumes"):
            vmm.delete_volume(config, owner, name, volume.name)
            run.log(f"the volume {volume.mount} is deleted, {size}")
        else:
            run.log(
                f"the volume {volume.mount} stays, {size}; form vmm volume-delete "
                f"{run.subject} {volume.name} deletes it"
            )


def leave(run: Run) -> None:
    """Deployments, versions, builds, and at last the agent."""
    agent = run.subject
    if "builds" not in run.memory:
        records = state.select("version", agent=agent)
        run.remember(builds=sorted({r.body["build_id"] for r in records}))
    for kind in ("deployment", "version"):
        for record in state.select(kind, agent=agent):
            state.remove(kind, record.id)
    drop_builds(run.memory["builds"])
    state.remove("agent", agent)
    shares.forget_agent(agent)
    run.memory["result"] = {"deleted": agent}
    events.happened(f"{agent} was deleted", service="marketplace", subject=agent)


def go_on_leaving(run: Run) -> None:
    """Undo: half an agent is none; what had begun is done to its end."""
    if "builds" in run.memory:
        leave(run)


def drop_builds(builds: Iterable[str]) -> None:
    """Remove builds that no version is left of."""
    for build in builds:
        if not state.select("version", build_id=build):
            state.remove("build", build)


def request_version(agent: str, version: str, account: str) -> str:
    """Queue the deletion of a version; returns the operation's id. Raises NotFound,
    or Conflict with what it is needed for."""
    must_not_be_leaving(agent)
    must_be_removable(agent, version)
    return operations.submit(
        "delete-version",
        title=f"Deleting {agent} {version}",
        subject=f"{agent}@{version}",
        params={},
        account=account,
    )


def must_be_removable(agent: str, version: str) -> state.Record:
    """The version's record; raises NotFound, or Conflict where something runs it or
    where it is the latest: what the node numbers next goes on from that."""
    found, known = (
        state.find("version", f"{agent}@{version}"),
        state.find("agent", agent),
    )
    if found is None or known is None:
        raise NotFound("version-unknown", f"There is no version {agent}@{version}.")
    if known.body["latest"] == version:
        raise Conflict(
            "version-latest",
            f"{version} is the latest version of {agent}, and versions are numbered on "
            "from it. Deploy a newer one first, or delete the agent.",
        )
    for kind in ("instance", "deployment"):
        users = state.select(kind, agent=agent, version=version)
        if users:
            raise Conflict(
                "version-in-use",
                f"The {kind} {users[0].id} is of {agent} {version}. Deploy another "
                "version or delete the instance first.",
            )
    return found


def delete_version(run: Run) -> None:
    agent, _, version = run.subject.partition("@")
    if "build" not in run.memory:
        turns.wait(run, agent)
        found = must_be_removable(agent, version)
        run.remember(build=found.body["build_id"])
    versions.withdraw(agent, version)
    drop_builds([run.memory["build"]])
    run.memory["result"] = {"deleted": run.subject}
    text = f"{agent} {version} was deleted"
    events.happened(text, service="marketplace", subject=agent)


def go_on_deleting(run: Run) -> None:
    """Undo: a version that is half gone goes."""
    if "build" in run.memory:
        delete_version(run)


KINDS = (
    Kind(
        "delete-agent",
        (
            Step("release", "Release instances", release),
            Step("names", "Free names", unname),
            Step("secrets", "Forget secrets", forget_secrets),
            Step("volumes", "Volumes", delete_volumes),
            Step("leave", "Leave the catalogue", leave, go_on_leaving),
        ),
        owner=owner,
    ),
    Kind(
        "delete-version",
        (Step("delete", "Delete the version", delete_version, go_on_deleting),),
        owner=owner,
    ),
)
