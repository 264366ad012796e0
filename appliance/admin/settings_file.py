"""The settings file on disk: read by all, written by root in one step."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from appliance import clock
from appliance.admin.configuration import digest
from appliance.config import config_file
from appliance.problems import Conflict, Problem


@dataclass(frozen=True)
class Found:
    """The file as it was read; `tag` tells whether it is still the same."""

    path: Path
    text: str
    changed: float | None

    @property
    def tag(self) -> str:
        return digest(self.text)


def read() -> Found:
    """The settings file; a missing one is empty. Raises Problem."""
    path = config_file()
    try:
        return Found(path, path.read_text(), path.stat().st_mtime)
    except FileNotFoundError:
        return Found(path, "", None)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Problem(
            "settings-unreadable",
            f"{path} cannot be read: {why}. The node's own users read it: chmod 644, "
            "and its folder 755.",
            status=503,
        ) from None


def must_be(found: Found, tag: str) -> None:
    """Raise Conflict where the file is another than the one with this tag."""
    if found.tag == tag:
        return
    when = f", at {clock.rfc3339(found.changed)}" if found.changed else ""
    raise Conflict(
        "settings-changed",
        f"{found.path} was changed since you opened it{when}; nothing was changed now. "
        "Open it again: what you typed is not in it.",
    )


def write(path: Path, text: str) -> None:
    """Replace the file in one step; owner and mode stay. A link stays a link."""
    path = path.resolve()
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise Problem(
            "settings-unwritten",
            f"{path} cannot be written: {error.strerror}; it is as it was.",
            status=503,
        ) from None


def _replace(path: Path, text: str) -> None:
    before = path.stat() if path.exists() else None
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), before.st_mode & 0o7777 if before else 0o644)
            if before:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
