"""Alerts: rules on what is measured, evaluated by the clock, and told to people.

`signals` reads the node, `rules` says what must not be, `evaluation` decides (pure),
`store` keeps; `targets` and `delivery` tell it by e-mail and webhook.
"""

from __future__ import annotations

from appliance.service import Eyes

TOLD_ANYWAY = ("service", "instance", "disk_used_percent")
"""Signals of which the dashboard speaks without any alert."""


def how_many(eyes: Eyes) -> int:
    """Alerts that fire, silenced ones left out."""
    from appliance import clock
    from appliance.admin.alerts import store

    return len(store.loud(clock.now()))


def other_sentences() -> list[str]:
    """Of alerts that fire, those of which the dashboard does not speak anyway."""
    from appliance import clock
    from appliance.admin.alerts import rules, store

    known = rules.every()
    return [
        store.sentence(alert)
        for alert in store.loud(clock.now())
        if alert.rule not in known or known[alert.rule].signal not in TOLD_ANYWAY
    ]
