"""Time and identifiers: RFC 3339 in UTC, and ids that sort by creation."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_CHANCE = 80  # bits
_last = 0
_lock = threading.Lock()


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()


def monotonic() -> float:
    """Seconds since the machine's start; no clock set moves it."""
    return time.monotonic()


def rfc3339(seconds: float | None) -> str | None:
    """`2026-01-02T03:04:05.678Z`, or None for None."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """26 characters that sort by creation: 48 bits of ms, 80 of chance (ULID).

    Ids that one process makes within a millisecond count up from the first.
    """
    global _last
    with _lock:
        fresh = time.time_ns() // 1_000_000 << _CHANCE
        fresh |= int.from_bytes(os.urandom(_CHANCE // 8))
        if fresh >> _CHANCE <= _last >> _CHANCE:  # the same ms, or a clock set back
            fresh = _last + 1
        _last = fresh
    return "".join(_CROCKFORD[fresh >> shift & 31] for shift in range(125, -1, -5))
