"""Which layers and images go when they take more than they may. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appliance.pack.store import Item


def choose(items: Sequence[Item], used: Collection[str], bound: int) -> list[Item]:
    """What to remove, the least recently used first, until `bound` bytes are left.

    What is in `used` stays, and counts. A layer whose lower layer is gone can never
    be built on again: it goes in any case.
    """
    left = sum(item.bytes for item in items)
    lost = _lost(items)
    chosen = []
    for item in by_age(items):
        if item.key in used or (left <= bound and item.key not in lost):
            continue
        chosen.append(item)
        left -= item.bytes
    return chosen


def by_age(items: Sequence[Item]) -> list[Item]:
    """The least recently used first, and a layer after all that stand on it."""
    known = {item.key: item for item in items}
    last = {item.key: item.used for item in items}
    depth = {item.key: 0 for item in items}
    for item in items:
        for number, lower in enumerate(_below(item, known), 1):
            last[lower] = max(last[lower], item.used)
            depth[lower] = max(depth[lower], number)
    return sorted(items, key=lambda i: (last[i.key], depth[i.key], i.key))


def _below(item: Item, known: dict[str, Item]) -> list[str]:
    """Keys of the layers that it stands on, the nearest first."""
    found: list[str] = []
    key = item.parent
    while key in known and key not in found:
        found.append(key)
        key = known[key].parent
    return found


def _lost(items: Sequence[Item]) -> set[str]:
    known = {item.key: item for item in items}
    ends = {i.key: [i, *(known[key] for key in _below(i, known))] for i in items}
    return {
        key
        for key, chain in ends.items()
        if any(item.parent and item.parent not in known for item in chain)
    }
