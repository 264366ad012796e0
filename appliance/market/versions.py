"""Registering a version of an agent from the manifest of its pack."""

from __future__ import annotations

import re
from typing import Any

from appliance import clock, state
from appliance.problems import Conflict, Invalid

SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DIGEST = re.compile(r"[0-9a-f]{64}")


def register(
    owner_id: str, owner: str, name: str, version: str, manifest: Any
) -> tuple[dict[str, Any], bool]:
    """The version's body, and whether it is new; raises Invalid or Conflict.

    The same build and image again changes nothing.
    """
    checked(name, version, manifest)
    agent, links = (
        f"{owner}/{name}",
        {key: manifest[key] for key in ("build_id", "image")},
    )
    before = state.find("version", f"{agent}@{version}")
    if before is not None:
        if any(before.body.get(key) != value for key, value in links.items()):
            raise Conflict(
                "version-taken",
                f"{agent} {version} is registered with another build or image; raise "
                "VERSION in the Formfile, or remove the line.",
            )
        return before.body, False
    formfile = manifest.get("formfile", {})
    body = {
        "agent": agent,
        "version": version,
        **links,
        "formfile": formfile,
        "created": clock.rfc3339(clock.now()),
    }
    state.put("version", f"{agent}@{version}", body)
    state.put("agent", agent, agent_body(owner_id, owner, name, version, formfile))
    return body, True


def agent_body(
    owner_id: str, owner: str, name: str, version: str, formfile: dict[str, Any]
) -> dict[str, Any]:
    """The agent's record with this version as its latest."""
    before = state.find("agent", f"{owner}/{name}")
    return {
        "owner": owner_id,
        "owner_name": owner,
        "name": name,
        "description": formfile.get("description") or "",
        "category": formfile.get("category"),
        "tags": list(formfile.get("tags") or ()),
        "card": before.body.get("card") if before else None,
        "latest": version,
    }


def checked(name: str, version: str, manifest: Any) -> None:
    """Raise Invalid with every member that is wrong."""
    wrong = {}
    if not LABEL.fullmatch(name):
        wrong["name"] = "not a DNS label: lower-case letters, digits, inner hyphens"
    if not SEMVER.fullmatch(version):
        wrong["version"] = "not a semantic version such as 1.2.0"
    known = manifest if isinstance(manifest, dict) else {}
    for key in ("build_id", "image"):
        if not isinstance(known.get(key), str) or not DIGEST.fullmatch(known[key]):
            wrong[key] = "a hex SHA-256 of 64 characters is needed"
    if not isinstance(known.get("formfile", {}), dict):
        wrong["formfile"] = "not an object"
    if wrong:
        why = "; ".join(f"{key}: {text}" for key, text in wrong.items())
        raise Invalid(f"The manifest cannot be registered: {why}.", **wrong)
