"""Who gets how much of what is bounded, so that one key cannot starve the rest.

A key has at most `each`; when `total` are out, one that has none still gets one.
"""

from __future__ import annotations

import threading
from collections import Counter


class Shares:
    """Safe for any number of threads."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def resize(self, total: int, each: int) -> None:
        """What is out beyond that comes back by itself."""
        with self._lock:
            self._total, self._each = total, each

    def take(self, key: str) -> bool:
        """Take one; False when there is none for this key now."""
        with self._lock:
            own = self._taken[key]
            if own and (own >= self._each or self._taken.total() >= self._total):
                return False
            self._taken[key] += 1
            return True

    def give(self, key: str) -> None:
        """Give one back."""
        with self._lock:
            self._taken[key] -= 1
            self._taken += Counter()  # drops what is zero

    def taken(self, key: str) -> int:
        return self._taken[key]
