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


def as_document(formfile: Formfile, whole: bool = False) -> dict[str, Any]:
    """JSON members; `whole`, with the hashes of passwords and the steps' lines,
    which are no part of what is built."""
    document = asdict(formfile)
    document["steps"] = [
        {"step": type(step).__name__.lower(), **asdict(step)} for step in formfile.steps
    ]
    if not whole:
        for step in document["steps"]:
            step.pop("line")
        for user in document["users"]:
            user["passwd_hash"] = None
    return document


def from_document(document: dict[str, Any]) -> Formfile:
    """The reverse of `as_document`."""
    steps = [
        _STEPS[step["step"]](**{k: v for k, v in step.items() if k != "step"})
        for step in document["steps"]
    ]
    plain = TypeAdapter(Formfile).validate_python({**document, "steps": ()})
    packages = [
        Install(tuple(s.packages), s.line) if isinstance(s, Install) else s
        for s in steps
    ]
    return TypeAdapter(Formfile).validate_python(
        {**{k: getattr(plain, k) for k in document if k != "steps"}, "steps": packages}
    )


def is_formfile(context: Path, path: Path) -> bool:
    """The Formfile itself is never copied: it may hold passwords."""
    return path == context / "Formfile"


def entries(context: Path, source: str) -> list[tuple[str, bool, str]]:
    """Sorted (path, executable?, digest or link target) of what a COPY reads."""
    root = context.resolve()
    start = root / source
    found = []
    if start.is_symlink():  # what it leads to is copied, so that counts too
        found.append(_entry(root, start))
        start = start.resolve()
    if not start.is_dir():
        return [*found, _entry(root, start)]
    for folder, names, files in os.walk(start):
        for name in sorted(names + files):
            path = Path(folder, name)
            if is_formfile(root, path):
                continue
            if path.is_symlink() or not path.is_dir():
                found.append(_entry(root, path))
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
