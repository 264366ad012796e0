"""What becomes of alerts when signals are read anew. Pure.

A condition that holds makes an alert: pending until it held for as long as the rule
says, then firing until it did not hold for `CALM_S`. All that must be known is in the
alert itself, so that a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.admin.alerts.rules import Rule
from appliance.admin.alerts.signals import Signals, Value

CALM_S = 60.0
LOST_S = 120.0  # a pending alert that was not looked at for so long begins anew
LIVE = ("pending", "firing")
Key = tuple[str, str]


@dataclass(frozen=True)
class Alert:
    """`since` it holds, `seen` holding last, `calm` since it holds no more."""

    rule: str
    subject: str
    state: str
    severity: str
    title: str
    value: str
    since: float
    seen: float
    fired: float | None = None
    calm: float | None = None
    ended: float | None = None

    @property
    def number(self) -> str:
        """The value where it is a number; a word says what the title says."""
        return self.value if self.value[:1] in "-0123456789" else ""

    @property
    def key(self) -> Key:
        return self.rule, self.subject


def evaluate(
    rules: Iterable[Rule], signals: Signals, alerts: Iterable[Alert], now: float
) -> list[Alert]:
    """The live alerts as they are now, with those that were resolved; a pending one
    whose condition went is left out."""
    held = {
        (rule.name, subject): (rule, value)
        for rule in rules
        if rule.enabled
        for subject, value in holding(rule, signals)
    }
    known = {alert.key: alert for alert in alerts}
    made = [of(known.get(key), *held[key], key[1], now) for key in held]
    gone = [ending(alert, now) for key, alert in known.items() if key not in held]
    return made + [alert for alert in gone if alert]


def holding(rule: Rule, signals: Signals) -> Iterator[tuple[str, Value]]:
    """(subject, value) of what is as the rule says that it must not be."""
    for (name, subject), value in signals.items():
        if name == rule.signal and rule.concerns(subject) and rule.holds(value):
            yield subject, value


def of(
    known: Alert | None, rule: Rule, value: Value, subject: str, now: float
) -> Alert:
    """The alert of a condition that holds now."""
    anew = known is None or (known.state == "pending" and now - known.seen > LOST_S)
    since = now if known is None or anew else min(known.since, now)
    fired = None if known is None else known.fired
    if fired is None and now - since >= rule.for_s:
        fired = now
    return Alert(
        rule.name,
        subject,
        "pending" if fired is None else "firing",
        rule.severity,
        rule.title,
        as_text(value),
        since,
        now,
        fired,
    )


def ending(alert: Alert, now: float) -> Alert | None:
    """An alert whose condition does not hold now; None for one that never fired."""
    if alert.state == "pending":
        return None
    calm = now if alert.calm is None else min(alert.calm, now)
    if now - calm >= CALM_S:
        return replace(alert, state="resolved", calm=calm, ended=now)
    return replace(alert, calm=calm)


def as_text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


@dataclass(frozen=True)
class Silence:
    """Alerts of `rule` and `subject`, either empty for all, are told to nobody
    before `until`."""

    id: int
    rule: str
    subject: str
    until: float
    why: str
    account: str
    created: float

    def covers(self, alert: Alert, now: float) -> bool:
        same = self.rule in ("", alert.rule) and self.subject in ("", alert.subject)
        return same and now < self.until


def silenced_by(
    alert: Alert, silences: Iterable[Silence], now: float
) -> Silence | None:
    """The silence that lasts longest of those that cover the alert."""
    covering = [silence for silence in silences if silence.covers(alert, now)]
    return max(covering, key=lambda silence: silence.until, default=None)


def to_tell(
    alert: Alert, told: str, silences: Iterable[Silence], now: float
) -> str | None:
    """What people must be told of an alert: `firing`, `resolved`, or nothing."""
    if alert.state == "firing" and not told:
        return None if silenced_by(alert, silences, now) else "firing"
    return "resolved" if alert.state == "resolved" and told == "firing" else None


def summary(alerts: Iterable[Alert]) -> Mapping[str, int]:
    """How many alerts are in each state."""
    found: dict[str, int] = {}
    for alert in alerts:
        found[alert.state] = found.get(alert.state, 0) + 1
    return found
