"""Records: what they are, how they are stamped, which of two wins.

Pure. A record is signed over the canonical JSON (RFC 8785) of its header and the
digest of its body; the higher `(hlc, author)` wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import rfc8785

from appliance import identity

KINDS = (
    "node",
    "account",
    "agent",
    "version",
    "build",
    "deployment",
    "instance",
    "domain",
    "audit",
)
AHEAD_MS = 60_000
LATEST_MS = 1 << 46  # in the year 4199; SQLite's integers end at 2**63


@dataclass(frozen=True)
class Record:
    """One row of state. `hlc` is ms since the epoch << 16 | logical counter."""

    kind: str
    id: str
    body: dict[str, Any]
    author: str
    incarnation: str
    seq: int
    hlc: int
    signature: str = ""
    deleted: bool = False


def signed_bytes(record: Record) -> bytes:
    """What the signature is over."""
    return rfc8785.dumps(
        {
            "kind": record.kind,
            "id": record.id,
            "body": sha256(rfc8785.dumps(record.body)).hexdigest(),
            "author": record.author,
            "incarnation": record.incarnation,
            "seq": record.seq,
            "hlc": str(record.hlc),  # JSON numbers end at 2**53
            "deleted": record.deleted,
        }
    )


def sign(record: Record, signer: Callable[[bytes], bytes]) -> Record:
    return replace(record, signature=signer(signed_bytes(record)).hex())


def is_genuine(record: Record, public_key: bytes) -> bool:
    """Whether the record's author, known by `public_key`, signed it."""
    try:
        signature = bytes.fromhex(record.signature)
    except ValueError:
        return False
    return identity.fingerprint(public_key) == record.author and identity.verify(
        public_key, signature, signed_bytes(record)
    )


def wins(one: Record, other: Record) -> bool:
    """Whether `one` replaces `other`; the same on every node. Honest authors use a
    stamp once; of two records with one stamp the higher signature wins, so that
    nodes agree about liars too."""
    return _rank(one) > _rank(other)


def merge(one: Record, other: Record) -> Record:
    """What is left of two versions of a record."""
    return one if wins(one, other) else other


def _rank(record: Record) -> tuple[int, str, str, int, str]:
    return (
        record.hlc,
        record.author,
        record.incarnation,
        record.seq,
        record.signature,
    )


def tick(last: int, wall_ms: int) -> int:
    """The next hybrid logical time after `last` (Kulkarni et al., 2014); a clock
    beyond what a stamp can hold no longer counts."""
    return max(last + 1, min(wall_ms, LATEST_MS) << 16)


def seconds(hlc: int) -> float:
    """A stamp's time, in seconds since the epoch."""
    return (hlc >> 16) / 1000


def is_ahead(hlc: int, wall_ms: int) -> bool:
    """Whether a stamp is further in the future than clocks may differ."""
    return (hlc >> 16) - wall_ms > AHEAD_MS
