"""Errors as problem documents (RFC 9457), for every floor of the house.

A `Problem` carries what a person needs: what was wrong, where, what to do. The
HTTP layer renders it, the CLI prints it, an operation stores it.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """`name` becomes the stable type `/problems/<name>`."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        status: int = 400,
        title: str | None = None,
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.status = status
        self.title = title or name.replace("-", " ").capitalize()
        self.retry_after = retry_after
        self.members = members

    def document(self) -> dict[str, Any]:
        """The problem as its JSON members."""
        return {
            "type": f"/problems/{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }


def from_document(document: Mapping[str, Any]) -> Problem:
    """The `Problem` that a document came from."""
    known = {"type", "title", "status", "detail"}
    return Problem(
        str(document.get("type", "/problems/unknown")).rsplit("/", 1)[-1],
        str(document.get("detail", "")),
        status=int(document.get("status", 500)),
        title=str(document.get("title", "")) or None,
        **{key: value for key, value in document.items() if key not in known},
    )


class NotFound(Problem):
    """What was asked for does not exist; `what` names it."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(name, what, status=404, title="Not found")


class Invalid(Problem):
    """Input that breaks a rule; `errors` maps a field to its sentence."""

    def __init__(self, detail: str, **errors: str) -> None:
        super().__init__(
            "input-invalid", detail, status=422, title="Invalid input", errors=errors
        )


class Conflict(Problem):
    """The request contradicts what is there already."""

    def __init__(self, name: str, detail: str, **members: Any) -> None:
        super().__init__(name, detail, status=409, **members)


class Unavailable(Problem):
    """Something that is needed does not answer now; asking again may help."""

    def __init__(self, name: str, detail: str, retry_after: int = 5) -> None:
        super().__init__(name, detail, status=503, retry_after=retry_after)


class EngineGone(Unavailable):
    """An engine or process of the node is away, as while it restarts; a step of
    an operation that meets this is tried again for a while."""


class DiskFull(Problem):
    """The disk cannot hold what is to be written; freeing some of it helps."""

    def __init__(self, detail: str) -> None:
        super().__init__("disk-full", detail, status=507)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of ours, of the system or of SQLite says so."""
    if isinstance(error, Problem):
        return error.name == "disk-full"
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or "disk is full" in str(error)
