"""Rules of alerts: which signal must not be how, for how long, and how bad that is.

The node comes with `DEFAULTS`; what an operator changes is kept beside them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from peewee import FloatField, TextField

from appliance import clock
from appliance.admin.alerts.signals import NUMBERS, WORDS, Value
from appliance.database import NodeModel
from appliance.metrics import METRICS
from appliance.problems import Invalid, NotFound

SEVERITIES = ("info", "warning", "critical")
CONDITIONS = ("above", "below", "is")
LONGEST_S = 7 * 86400
TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "title": (str,),
    "signal": (str,),
    "condition": (str,),
    "value": (str, int, float),
    "for_s": (int,),
    "severity": (str,),
    "subjects": (str,),
    "runbook": (str,),
    "enabled": (bool,),
}
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Rule:
    """An alert for each subject whose `signal` is `above` or `below` a number, or
    `is` one of some words, for `for_s` seconds. `subjects` limits it, by names with
    commas between them; empty is all. `runbook` is a file in docs/runbooks."""

    name: str
    title: str
    signal: str
    condition: str
    value: str
    for_s: int = 300
    severity: str = "warning"
    subjects: str = ""
    runbook: str = ""
    enabled: bool = True

    def concerns(self, subject: str) -> bool:
        return not self.subjects or subject in words(self.subjects)

    def holds(self, found: Value) -> bool:
        """Whether a signal is as it must not be."""
        if isinstance(found, str):
            return self.condition == "is" and found in words(self.value)
        if self.condition == "above":
            return found > float(self.value)
        return self.condition == "below" and found < float(self.value)


class Changed(NodeModel):
    """A rule that an operator made or changed."""

    name = TextField(primary_key=True)
    body = TextField()
    changed = FloatField()

    class Meta:
        table_name = "alert_rule"


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


DEFAULTS = {
    rule.name: rule
    for rule in (
        Rule(
            "disk-nearly-full",
            "The disk is nearly full",
            "disk_used_percent",
            "above",
            "90",
            runbook="disk-full",
        ),
        Rule(
            "disk-full",
            "The disk is full",
            "disk_used_percent",
            "above",
            "97",
            60,
            "critical",
            runbook="disk-full",
        ),
        Rule(
            "memory-short",
            "Memory is short",
            "memory_used_percent",
            "above",
            "92",
            600,
            runbook="memory-short",
        ),
        Rule(
            "service-failed",
            "A service failed",
            "service",
            "is",
            "failed",
            60,
            "critical",
            runbook="service-failed",
        ),
        Rule(
            "service-degraded",
            "A service is degraded",
            "service",
            "is",
            "degraded",
            runbook="service-degraded",
        ),
        Rule(
            "instance-unhealthy",
            "An instance is not healthy",
            "instance",
            "is",
            "unhealthy, failed",
            120,
            runbook="instance-unhealthy",
        ),
        Rule(
            "builds-failing",
            "Builds fail",
            "builds_failed_in_a_row",
            "above",
            "2",
            0,
            runbook="builds-failing",
        ),
        Rule(
            "tasks-failing",
            "Most tasks fail",
            "tasks_failed_percent",
            "above",
            "50",
            600,
            runbook="tasks-failing",
        ),
        Rule(
            "clock-off",
            "The clock is not synchronised",
            "clock",
            "is",
            "not synchronised",
            3600,
            runbook="clock-off",
        ),
        Rule(
            "dns-silent",
            "form-dns does not answer",
            "dns",
            "is",
            "silent",
            60,
            "critical",
            runbook="dns-silent",
        ),
        Rule(
            "certificate-expiring",
            "The node's certificate expires soon",
            "certificate_days_left",
            "below",
            "30",
            0,
            runbook="certificate-expiring",
        ),
        Rule(
            "check-failed",
            "A check fails",
            "check",
            "is",
            "failed",
            300,
            runbook="check-failed",
        ),
        Rule(
            "repair-needed",
            "Something is to be repaired",
            "repair",
            "is",
            "critical",
            120,
            subjects="images, ports, settings",
            runbook="repair-needed",
        ),
    )
}


def known_signals() -> dict[str, str]:
    """Every signal that a rule may be about, with what it says."""
    measured = {
        m.name: f"{m.title}, {m.unit}" if m.unit else m.title for m in METRICS.values()
    }
    return {**measured, **NUMBERS, **WORDS}


def every() -> dict[str, Rule]:
    """All rules by name, as they are now."""
    kept = {row.name: Rule(**json.loads(row.body)) for row in Changed.select()}
    return dict(sorted({**DEFAULTS, **kept}.items()))


def get(name: str) -> Rule:
    found = every().get(name)
    if found is None:
        raise NotFound("rule-unknown", f"There is no rule {name!r}.")
    return found


def put(name: str, wish: Mapping[str, Any]) -> Rule:
    """Make a rule, or change what `wish` has of one; raises Invalid."""
    errors = {key: f"a rule has no {key}" for key in set(wish) - set(TYPES)}
    for key, kind in TYPES.items():
        if key in wish and type(wish[key]) not in kind:
            errors[key] = f"{key}: {kind[0].__name__} is needed"
    if wish.get("name", name) != name:
        errors["name"] = f"name: this is {name}; a rule is not renamed"
    if errors:
        raise Invalid("; ".join(errors.values()) + ".", **errors)
    start = every().get(name) or Rule(name, "", "", "", "")
    made = must_be_valid(replace(start, **wish))
    body = json.dumps(asdict(made))
    row = {"name": name, "body": body, "changed": clock.now()}
    Changed.insert(**row).on_conflict_replace().execute()
    return made


def forget(name: str) -> None:
    """A rule of the operator's own goes; one of the node's is again as it came."""
    get(name)
    Changed.delete().where(Changed.name == name).execute()


def must_be_valid(rule: Rule) -> Rule:
    """The rule with its texts trimmed; raises Invalid with all that is wrong."""
    tidy = replace(rule, title=rule.title.strip(), value=str(rule.value).strip())
    errors = wrong(tidy)
    if errors:
        raise Invalid("; ".join(errors.values()) + ".", **errors)
    return tidy


def wrong(rule: Rule) -> dict[str, str]:
    """What is wrong with a rule, by field."""
    errors = {}
    if not NAME.fullmatch(rule.name) or rule.name == "new":
        errors["name"] = "name: a to z, 0 to 9 and -, at most 40 characters"
    if not 1 <= len(rule.title) <= 120 or not rule.title.isprintable():
        errors["title"] = "title: one line of 1 to 120 characters"
    if rule.signal not in known_signals():
        errors["signal"] = f"signal: one of {', '.join(known_signals())}"
    elif rule.condition not in allowed_conditions(rule.signal):
        allowed = " or ".join(allowed_conditions(rule.signal))
        errors["condition"] = f"condition: {rule.signal} may be {allowed}"
    if "condition" not in errors and not is_value(rule):
        need = "words, with commas between them" if rule.condition == "is" else "number"
        errors["value"] = f"value: {need} that {rule.signal or 'the signal'} can have"
    if not 0 <= rule.for_s <= LONGEST_S:
        errors["for_s"] = f"for_s: seconds, 0 to {LONGEST_S}"
    if rule.severity not in SEVERITIES:
        errors["severity"] = f"severity: {', '.join(SEVERITIES)}"
    if len(rule.subjects) > 500 or not rule.subjects.isprintable():
        errors["subjects"] = "subjects: names with commas between them, or nothing"
    if not re.fullmatch(r"[a-z0-9-]{0,60}", rule.runbook):
        errors["runbook"] = "runbook: the name of one, or nothing"
    return errors


def allowed_conditions(signal: str) -> tuple[str, ...]:
    return ("is",) if signal in WORDS else ("above", "below")


def is_value(rule: Rule) -> bool:
    if rule.condition == "is":
        return bool(words(rule.value)) and rule.value.isprintable()
    try:
        return math.isfinite(float(rule.value))
    except ValueError:
        return False
