"""What a check declares, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

from appliance.config import Settings
from appliance.operations import Run

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
SUBJECT = re.compile(r"[A-Za-z0-9._-]{0,100}")


@dataclass(frozen=True)
class Fix:
    """`button` says what is done; `loses` what cannot be had back, which is asked about
    first."""

    button: str
    loses: str = ""


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong: `text` says what and where, `cure` what to do.

    `subject` tells issues of one check apart. `state` is what must change before an
    issue that was ignored is told again; by default the text.
    """

    severity: Severity
    title: str
    text: str
    cure: str
    subject: str = ""
    fix: Fix | None = None
    link: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        if not SUBJECT.fullmatch(self.subject):
            raise ValueError(f"{self.subject!r} cannot be an issue's subject")

    @property
    def mark(self) -> str:
        """Another one once the issue is another."""
        loses = self.fix.loses if self.fix else ""
        parts = (self.severity, self.title, self.state or self.text, loses)
        return sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Repair:
    """A check: `find` gives what is wrong, `mend` puts the issue of a subject right; it
    may be run again after a crash."""

    name: str
    title: str
    find: Callable[[Settings], Iterable[Issue]]
    mend: Callable[[Run, str], None] | None = None
