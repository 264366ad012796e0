"""A deployment's records in the catalogue: agent and version, build and deployment."""

from __future__ import annotations

from dataclasses import asdict

from appliance import clock, pack, state
from appliance.market import owners, versions
from appliance.market.names import next_version
from appliance.operations import Run


def register(run: Run) -> None:
    """Agent, version, build and deployment, each pointing at the others."""
    memory, formfile = run.memory, pack.from_document(run.memory["formfile"])
    agent, owner = memory["agent"], run.params["owner_name"]
    links = {"build_id": memory["build_id"], "image": memory["image"]}
    version = formfile.version
    if "version" in run.params:
        version = memory["version"]
    version = version or next_version(versions.known(agent), **links)
    memory["version"] = version
    if "before" not in memory:
        known_agent = state.find("agent", agent)
        run.remember(
            before=known_agent.body if known_agent else None,
            new_version=state.find("version", f"{agent}@{version}") is None,
        )
    manifest = {**links, "formfile": pack.as_document(formfile)}
    owner_id = owners.account_of(owner) or run.account
    versions.register(owner_id, owner, formfile.name, version, manifest, run.id)
    deployment = {
        "account": run.account,
        "agent": agent,
        "version": version,
        "created": clock.rfc3339(clock.now()),
        "operation": run.id,
        "copies": 1,
        "domains": [asdict(domain) for domain in formfile.domains],
    }
    state.put("deployment", run.id, deployment)


def unregister(run: Run) -> None:
    """Undo: the catalogue is as it was before."""
    memory = run.memory
    if "before" not in memory:
        return
    state.remove("deployment", run.id)
    if memory["before"] is None:
        state.remove("agent", memory["agent"])
    else:
        state.put("agent", memory["agent"], memory["before"])
    if memory["new_version"]:
        state.remove("version", f"{memory['agent']}@{memory['version']}")
    if not state.select("version", build_id=memory["build_id"]):
        state.remove("build", memory["build_id"])
