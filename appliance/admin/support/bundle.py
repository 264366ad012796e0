"""Writes a bundle: a .tar.gz of bounded size. What cannot be had is named in it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any

from appliance import clock
from appliance.admin.support import known, parts
from appliance.admin.support.redaction import Redactor, redactor
from appliance.config import Settings
from appliance.problems import Problem

PART_BYTES, ALL_BYTES = 1 << 20, 16 << 20
CUT = "… what was before is left out\n"
README = """\
A support bundle of a Formation node, made at {made}.

It holds versions, settings, states, what checks find, recent logs, measurements and
the end of the audit log: with names of accounts and agents, and addresses. Passwords,
tokens, keys and secrets are not in it; what looked like one was replaced by [removed].

{missing}
"""


@dataclass
class Manifest:
    """What is in a bundle by size, and what is missing by reason."""

    made: float
    files: dict[str, int] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        moment = datetime.fromtimestamp(self.made, UTC)
        return f"formation-support-{moment:%Y%m%d-%H%M%S}"

    @property
    def readme(self) -> str:
        lines = [f"- {name}: {why}" for name, why in self.missing.items()]
        missing = "Nothing is missing."
        if lines:
            missing = "\n".join(["These could not be had:", *lines])
        return README.format(made=clock.rfc3339(self.made), missing=missing)


def write(
    settings: Settings,
    file: IO[bytes],
    trouble: dict[str, str] | None = None,
    said: Callable[[str], object] = id,
) -> Manifest:
    """Write a bundle into `file`; `trouble` is what is known to be missing already,
    `said` is told of each part before it is made."""
    found = Manifest(clock.now(), missing=dict(trouble or {}))
    clean = redactor(secrets(settings, found))
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, make in listed(settings, found):
            said(name)
            text = made(name, make, settings, clean, found)
            if text is not None and sum(found.files.values()) < ALL_BYTES:
                add(archive, found, name, text)
        add(archive, found, "README.txt", clean.text(found.readme))
    return found


def secrets(settings: Settings, found: Manifest) -> list[str]:
    """Those that the node knows; what cannot be opened is said."""
    values: list[str] = []
    for source in known.SOURCES:
        try:
            values += source(settings)
        except Exception as error:  # noqa: BLE001 - a bundle is for when things fail
            title = f"the list of secrets ({source.__name__.replace('_', ' ')})"
            found.missing[title] = reason(error)
    return values


def listed(
    settings: Settings, found: Manifest
) -> Iterator[tuple[str, Callable[[Settings], Any]]]:
    try:
        yield from parts.all_parts(settings)
    except Problem as problem:
        found.missing["logs"] = reason(problem)


def made(
    name: str,
    make: Callable[[Settings], Any],
    settings: Settings,
    clean: Redactor,
    found: Manifest,
) -> str | None:
    """The text of a file, clean and not too long; None where it cannot be had."""
    try:
        content = make(settings)
    except Exception as error:  # noqa: BLE001 - a bundle is for when things fail
        found.missing[name] = reason(error)
        return None
    if isinstance(content, str):
        return shortened(clean.text(content))
    text = json.dumps(clean.value(content), indent=1, ensure_ascii=False)
    return shortened(f"{text}\n")


def shortened(text: str) -> str:
    """The end of a text that is too long: the newest of a log."""
    if len(text) <= PART_BYTES // 4:  # of UTF-8's longest
        return text
    raw = text.encode()
    if len(raw) <= PART_BYTES:
        return text
    return CUT + raw[-PART_BYTES:].decode(errors="ignore").partition("\n")[2]


def add(archive: tarfile.TarFile, found: Manifest, name: str, text: str) -> None:
    raw = text.encode(errors="replace")
    about = tarfile.TarInfo(f"{found.name}/{name}")
    about.size, about.mtime, about.mode = len(raw), int(found.made), 0o600
    archive.addfile(about, io.BytesIO(raw))
    found.files[name] = len(raw)


def reason(error: Exception) -> str:
    if isinstance(error, Problem):
        return error.detail
    return f"{type(error).__name__}: {error}"[:300]
