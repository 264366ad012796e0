"""Versions that the node chooses (FORMFILE: VERSION). Pure."""

from __future__ import annotations

from collections.abc import Sequence


def next_version(known: Sequence[tuple[str, str]], build_id: str) -> str:
    """The version that has this build, else 0.1.0, else the highest's next patch.

    `known` holds (version, build id).
    """
    for version, other in known:
        if other == build_id:
            return version
    if not known:
        return "0.1.0"
    major, minor, patch = max(_numbers(version) for version, _ in known)
    return f"{major}.{minor}.{patch + 1}"


def _numbers(version: str) -> tuple[int, int, int]:
    core = version.split("-")[0].split("+")[0]
    major, minor, patch = (int(part) for part in core.split("."))
    return major, minor, patch
