"""Repairs: what is wrong with the node, in plain words, and what mends it.

A check is a module in `checks`, or what a package offers in the entry-point group
`formation.repairs`. `looking` runs them by the clock, `kept` keeps what they found,
`mending` applies what they can mend, as an operation.
"""

from __future__ import annotations

from appliance.service import Eyes


def how_many(eyes: Eyes) -> int:
    """Issues that nobody ignores."""
    from appliance.admin.repairs import kept

    return kept.count()
