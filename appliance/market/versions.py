"""Registering a version of an agent from the manifest of its pack."""

from __future__ import annotations

import re
from typing import Any

from semver import Version

from appliance import clock, state
from appliance.market.names import Known, newest
from appliance.problems import Conflict, Invalid

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DIGEST = re.compile(r"[0-9a-f]{64}")


def known(agent: str) -> list[Known]:
    """The versions of an agent."""
    return [
        Known(r.body["version"], r.body["build_id"], r.body["image"])
        for r in state.select("version", agent=agent)
    ]


def register(
    owner_id: str,
    owner: str,
    name: str,
    version: str,
    manifest: Any,
    operation: str | None = None,
) -> tuple[dict[str, Any], bool]:
    """The version's body, and whether it is new; raises Invalid or Conflict.

    The same build and image again changes nothing. `operation` is the one that
    built the image, where one of this node did.
    """
    checked(name, version, manifest)
    agent = f"{owner}/{name}"
    links = {key: manifest[key] for key in ("build_id", "image")}
    before = state.find("version", f"{agent}@{version}")
    if before is not None:
        if any(before.body.get(key) != value for key, value in links.items()):
            raise Conflict(
                "version-taken",
                f"{agent} {version} is registered with another build or image; raise "
                "VERSION in the Formfile, or remove the line.",
            )
        if state.find("agent", agent) is None:  # a crash was between the two
            formfile = before.body["formfile"]
            body = agent_body(owner_id, owner, name, version, formfile)
            state.put("agent", agent, body)
        return before.body, False
    must_be_unused(agent, version)
    formfile, now = manifest.get("formfile", {}), clock.rfc3339(clock.now())
    body = {
        "agent": agent,
        "version": version,
        **links,
        "formfile": formfile,
        "created": now,
    }
    if state.find("build", links["build_id"]) is None:
        build = {"image": links["image"], "operation": operation, "created": now}
        state.put("build", links["build_id"], build)
    state.put("version", f"{agent}@{version}", body)
    state.put("agent", agent, agent_body(owner_id, owner, name, version, formfile))
    return body, True


def must_be_unused(agent: str, version: str | None) -> None:
    """A number that people used for one thing never means another."""
    known = state.find("agent", agent)
    if known is not None and version in known.body.get("withdrawn", ()):
        raise Conflict(
            "version-withdrawn",
            f"There was a {agent} {version}, which was deleted, and its number is not "
            "given again; raise VERSION in the Formfile, or remove the line.",
        )


def withdraw(agent: str, version: str) -> None:
    """Remove the version's record; the agent's keeps its number."""
    known = state.find("agent", agent)
    if known is not None:
        numbers = sorted({*known.body.get("withdrawn", ()), version})
        state.put("agent", agent, {**known.body, "withdrawn": numbers})
    state.remove("version", f"{agent}@{version}")


def agent_body(
    owner_id: str, owner: str, name: str, version: str, formfile: dict[str, Any]
) -> dict[str, Any]:
    """The agent's record with this version among its own."""
    before = state.find("agent", f"{owner}/{name}")
    return {
        "owner": owner_id,
        "owner_name": owner,
        "name": name,
        "description": formfile.get("description") or "",
        "category": formfile.get("category"),
        "tags": list(formfile.get("tags") or ()),
        "card": before.body.get("card") if before else None,
        "withdrawn": before.body.get("withdrawn", []) if before else [],
        "latest": newest([version, *(k.version for k in known(f"{owner}/{name}"))]),
    }


def checked(name: str, version: str, manifest: Any) -> None:
    """Raise Invalid with every member that is wrong."""
    wrong = {}
    if not LABEL.fullmatch(name):
        wrong["name"] = "not a DNS label: lower-case letters, digits, inner hyphens"
    if not Version.is_valid(version):
        wrong["version"] = "not a semantic version such as 1.2.0"
    members = manifest if isinstance(manifest, dict) else {}
    for key in ("build_id", "image"):
        if not DIGEST.fullmatch(str(members.get(key))):
            wrong[key] = "a hex SHA-256 of 64 characters is needed"
    if not isinstance(members.get("formfile", {}), dict):
        wrong["formfile"] = "not an object"
    if wrong:
        why = "; ".join(f"{key}: {text}" for key, text in wrong.items())
        raise Invalid(f"The manifest cannot be registered: {why}.", **wrong)
