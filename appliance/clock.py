"""Time and identifiers: RFC 3339 in UTC, and ids that sort by creation."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()


def rfc3339(seconds: float | None) -> str | None:
    """`2026-01-02T03:04:05.678Z`, or None for None."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """26 characters that sort by time: 48 bits of ms, 80 of chance (ULID)."""
    value = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))
