"""What makes two builds the same, and the Formfile as a JSON document."""

from __future__ import annotations

import os
import stat
from dataclasses import asdict
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import rfc8785
from pydantic import TypeAdapter

from appliance.pack.formfile import Copy, Formfile, Install, Run

_STEPS = {"install": Install, "copy": Copy, "run": Run}


def as_document(formfile: Formfile, passwords: bool = False) -> dict[str, Any]:
    """JSON members; without `passwords` no hash is in it."""
    document = asdict(formfile)
    document["steps"] = [
        {"step": type(step).__name__.lower(), **_step(step)} for step in formfile.steps
    ]
    if not passwords:
        for user in document["users"]:
            user["passwd_hash"] = None
    return document


def _step(step: Install | Copy | Run) -> dict[str, Any]:
    members = asdict(step)
    members.pop("line", None)
    return members


def from_document(document: dict[str, Any]) -> Formfile:
    """The reverse of `as_document`."""
    steps = [
        _STEPS[step["step"]](**{k: v for k, v in step.items() if k != "step"})
        for step in document["steps"]
    ]
    plain = TypeAdapter(Formfile).validate_python({**document, "steps": ()})
    packages = [
        Install(tuple(s.packages)) if isinstance(s, Install) else s for s in steps
    ]
    return TypeAdapter(Formfile).validate_python(
        {**{k: getattr(plain, k) for k in document if k != "steps"}, "steps": packages}
    )


def entries(context: Path, source: str) -> list[tuple[str, bool, str]]:
    """Sorted (path, executable?, digest or link target) of what a COPY reads."""
    start = context / source
    if not start.is_dir() or start.is_symlink():
        return [_entry(context, start)]
    found = []
    for folder, names, files in os.walk(start):
        for name in sorted(names + files):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_dir():
                found.append(_entry(context, path))
    return sorted(found)


def _entry(context: Path, path: Path) -> tuple[str, bool, str]:
    name = str(path.relative_to(context))
    if path.is_symlink():
        return name, False, f"-> {path.readlink()}"
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        return name, False, "special"
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return name, bool(mode & 0o111), digest


def build_id(formfile: Formfile, base_name: str, context: Path | None) -> str:
    """Hex SHA-256 over Formfile, base and what is copied; see docs/formfile.md."""
    read = []
    for step in formfile.steps:
        if isinstance(step, Copy) and context is not None:
            read += entries(context, step.source)
    whole: dict[str, Any] = {
        "formfile": as_document(formfile),
        "base": base_name,
        "files": sorted([list(item) for item in read]),
    }
    return sha256(rfc8785.dumps(whole)).hexdigest()
