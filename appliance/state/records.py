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
)
AHEAD_MS = 60_000


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
    return identity.fingerprint(public_key) == record.author and identity.verify(
        public_key, bytes.fromhex(record.signature), signed_bytes(record)
    )


def wins(one: Record, other: Record) -> bool:
    """Whether `one` replaces `other`; the same on every node."""
    return (one.hlc, one.author) > (other.hlc, other.author)


def tick(last: int, wall_ms: int) -> int:
    """The next hybrid logical time after `last` (Kulkarni et al., 2014)."""
    return max(last + 1, wall_ms << 16)


def is_ahead(hlc: int, wall_ms: int) -> bool:
    """Whether a stamp is further in the future than clocks may differ."""
    return (hlc >> 16) - wall_ms > AHEAD_MS
