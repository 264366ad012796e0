"""Alerts and silences as they are kept in node.db; formation-jobs evaluates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from peewee import AutoField, FloatField, TextField

from appliance import clock, events
from appliance.admin.alerts import rules, signals
from appliance.admin.alerts.evaluation import (
    LIVE,
    Alert,
    Key,
    Silence,
    evaluate,
    silenced_by,
    to_tell,
)
from appliance.config import Settings
from appliance.database import NodeModel, keep_newest, node
from appliance.problems import Invalid, NotFound

LONGEST_S = 366 * 86400


class Row(NodeModel):
    """An alert; `told` is what people were last told of it."""

    id = AutoField()
    rule = TextField()
    subject = TextField()
    state = TextField()
    severity = TextField()
    title = TextField()
    value = TextField()
    since = FloatField()
    seen = FloatField()
    fired = FloatField(null=True)
    calm = FloatField(null=True)
    ended = FloatField(null=True)
    told = TextField(default="")

    class Meta:
        table_name = "alert"


class SilenceRow(NodeModel):
    id = AutoField()
    rule = TextField()
    subject = TextField()
    until = FloatField()
    why = TextField()
    account = TextField()
    created = FloatField()

    class Meta:
        table_name = "alert_silence"


def as_alert(row: Row) -> Alert:
    return Alert(
        row.rule,
        row.subject,
        row.state,
        row.severity,
        row.title,
        row.value,
        row.since,
        row.seen,
        row.fired,
        row.calm,
        row.ended,
    )


def live() -> list[Alert]:
    """What is pending or fires, the most severe first."""
    found = [as_alert(row) for row in Row.select().where(Row.state.in_(LIVE))]
    return sorted(
        found, key=lambda a: (a.state, -rules.SEVERITIES.index(a.severity), a.since)
    )


def history(limit: int = 100) -> list[Alert]:
    """What was resolved, the newest first."""
    query = Row.select().where(Row.state == "resolved").order_by(Row.ended.desc())
    return [as_alert(row) for row in query.limit(limit)]


def loud(now: float) -> list[Alert]:
    """What fires and is not silenced."""
    quiet = silences(now)
    return [a for a in live() if a.state == "firing" and not silenced_by(a, quiet, now)]


def silences(now: float) -> list[Silence]:
    """Those that still last."""
    query = SilenceRow.select().where(SilenceRow.until > now)
    keys = ("id", "rule", "subject", "until", "why", "account", "created")
    return [Silence(*(getattr(row, key) for key in keys)) for row in query]


def silence(rule: str, subject: str, seconds: float, why: str, account: str) -> int:
    """Tell nobody of alerts of a rule and a subject, for a while; its id."""
    errors = {}
    if rule and rule not in rules.every():
        errors["rule"] = f"rule: there is no {rule[:40]!r}"
    if not 60 <= seconds <= LONGEST_S:
        errors["seconds"] = "seconds: from a minute to a year"
    if not 1 <= len(why.strip()) <= 500:
        errors["why"] = "why: say it, in at most 500 characters"
    if errors:
        raise Invalid("; ".join(errors.values()) + ".", **errors)
    now = clock.now()
    row = SilenceRow.create(
        rule=rule,
        subject=subject[:200],
        until=now + seconds,
        why=why.strip(),
        account=account,
        created=now,
    )
    return int(row.id)


def end_silence(id_: str) -> None:
    known = id_.isascii() and id_.isdigit() and len(id_) < 16
    now = clock.now()
    ended = SilenceRow.update(until=now).where(
        (SilenceRow.id == (int(id_) if known else None)) & (SilenceRow.until > now)
    )
    if not ended.execute():
        raise NotFound("silence-unknown", f"No silence {id_} lasts.")


def refresh(settings: Settings) -> None:
    """Read the signals, and keep what becomes of the alerts."""
    found = signals.read(settings)
    with node.atomic("immediate"):
        alerts = evaluate(rules.every().values(), found, live(), clock.now())
        keep(alerts)
        tell(clock.now())
    trim(settings.admin.alerts_kept)


def keep(alerts: Iterable[Alert]) -> None:
    """Write the live alerts as they are now; those that are missing were pending."""
    alerts = list(alerts)
    rows = {(r.rule, r.subject): r for r in Row.select().where(Row.state.in_(LIVE))}
    for alert in alerts:
        row = rows.pop(alert.key, None)
        if row is None:
            Row.create(**asdict(alert))
        else:
            Row.update(**asdict(alert)).where(Row.id == row.id).execute()
    forget(rows)


def forget(rows: Iterable[Key]) -> None:
    for rule, subject in rows:
        same = (Row.rule == rule) & (Row.subject == subject)
        Row.delete().where(same & (Row.state == "pending")).execute()


def tell(now: float) -> None:
    """Note, and queue for delivery, what people were not told yet."""
    from appliance.admin.alerts.delivery import queue

    quiet = silences(now)
    for row in Row.select().where((Row.state == "firing") | (Row.told == "firing")):
        alert = as_alert(row)
        news = to_tell(alert, row.told, quiet, now)
        if news is None:
            continue
        Row.update(told=news).where(Row.id == row.id).execute()
        queue(row.id, alert, news)
        level = "warning" if news == "firing" else "info"
        events.happened(sentence(alert), service="admin", level=level)


def sentence(alert: Alert) -> str:
    """`The disk is full: 98`, `A service failed: form-dns`; over, it says so."""
    of = "" if alert.subject == "node" else alert.subject
    said = ", ".join(filter(None, [of, alert.number]))
    text = f"{alert.title}: {said}" if said else alert.title
    return f"Over: {text}" if alert.state == "resolved" else text


def trim(keep: int) -> None:
    """Drop old resolved alerts and silences."""
    old = Row.select(Row.id).where(Row.state == "resolved").order_by(Row.ended.desc())
    Row.delete().where(Row.id.in_(old.offset(keep).limit(-1))).execute()
    keep_newest(SilenceRow, keep, SilenceRow.until <= clock.now())
