"""Versions that the node chooses (FORMFILE: VERSION). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from semver import Version

FIRST = "0.1.0"


@dataclass(frozen=True)
class Known:
    """A version that is registered, and what it was made from and became."""

    version: str
    build_id: str
    image: str


def next_version(known: Sequence[Known], build_id: str, image: str) -> str:
    """The version that has this build, else 0.1.0, else the highest's next patch.

    A build that was made again, for newer packages, gave another image: it is
    another version, since a version's image never changes.
    """
    for item in known:
        if (item.build_id, item.image) == (build_id, image):
            return item.version
    if not known:
        return FIRST
    highest = Version.parse(newest(item.version for item in known))
    return str(Version(highest.major, highest.minor, highest.patch + 1))


def newest(versions: Iterable[str]) -> str:
    """The one of highest precedence (https://semver.org, 11)."""
    return max(versions, key=Version.parse)
