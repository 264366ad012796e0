"""Telling people: a queue in node.db, worked off by formation-jobs.

Each message goes to each target; what fails is tried again with growing pauses, and
given up after `TRIES`. The lines are the log of deliveries; no secret is in them.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import httpx
import structlog
from peewee import AutoField, FloatField, IntegerField, TextField

from appliance import clock, events, state
from appliance.admin.alerts import mail, message, rules, targets, webhook
from appliance.admin.alerts.evaluation import Alert
from appliance.admin.alerts.message import Message
from appliance.admin.alerts.targets import Hook, Target
from appliance.config import Settings, settings
from appliance.database import NodeModel, keep_newest
from appliance.operations import Kind, Run, Step
from appliance.problems import Problem

log = structlog.get_logger()
TRIES = 8
FIRST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 3600.0


class Delivery(NodeModel):
    """`state`: queued, delivered, failed."""

    id = AutoField()
    message = TextField()
    target = TextField()
    body = TextField()
    state = TextField()
    tries = IntegerField(default=0)
    next = FloatField()
    outcome = TextField(default="")
    created = FloatField()
    ended = FloatField(null=True)

    class Meta:
        table_name = "alert_delivery"


def node_name(config: Settings) -> str:
    return str(state.own_node(config).get("name") or "This node")


def queue(id_: int, alert: Alert, news: str) -> None:
    """Have every target told of an alert."""
    found = targets.every()
    if not found:
        return
    rule = rules.every().get(alert.rule)
    name = f"alert-{id_}-{news}"
    runbook = rule.runbook if rule else ""
    made = message.of(alert, name, node_name(settings()), news, runbook)
    for target in found:
        add(made, target.name)


def add(made: Message, target: str, later: float = 0.0) -> Delivery:
    """Queue a message for one target, to be tried in `later` seconds."""
    now = clock.now()
    return Delivery.create(
        message=made.id,
        target=target,
        body=json.dumps(asdict(made)),
        state="queued",
        next=now + later,
        created=now,
    )


def deliver(config: Settings) -> int:
    """Try what is due; says how many were delivered."""
    due = Delivery.select().where(
        (Delivery.state == "queued") & (Delivery.next <= clock.now())
    )
    done = sum(attempt(config, row) for row in list(due.order_by(Delivery.id)))
    trim(config.admin.alerts_kept)
    return done


def attempt(config: Settings, row: Delivery) -> bool:
    """Try one delivery, and keep how it went."""
    made = Message(**json.loads(row.body))
    try:
        target = targets.get(row.target)
        said = send(config, target, made)
    except Problem as problem:  # the target was removed, or its secret is another's
        _end(row, "failed", problem.detail)
        return False
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        _try_later(row, reason(error))
        return False
    _end(row, "delivered", said)
    return True


def send(config: Settings, target: Target, made: Message) -> str:
    """Tell one target now; what it answered."""
    secret = targets.secret(config, target.name)
    if isinstance(target.where, Hook):
        request = webhook.request(made, target.kind, secret, clock.now())
        return webhook.post(target.where.url, request)
    return mail.send(made, target.where, secret)


def reason(error: Exception) -> str:
    """Why it failed, without the address, which may hold a secret."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answered {error.response.status_code}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = getattr(error, "smtp_error", None)
    code = getattr(error, "smtp_code", None)
    if isinstance(text, bytes) and code:
        return f"{code} {text.decode(errors='replace')[:200]}"
    return type(error).__name__ if isinstance(error, httpx.InvalidURL) else _said(error)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")


def pause(tries: int) -> float:
    """Seconds before the next try: each twice the one before."""
    return float(min(FIRST_PAUSE_S * 2 ** (tries - 1), LONGEST_PAUSE_S))


def _try_later(row: Delivery, why: str) -> None:
    tries = row.tries + 1
    log.info("alerts.undelivered", target=row.target, tries=tries, why=why)
    if tries >= TRIES:
        _end(row, "failed", why, tries)
        text = f"Alerts could not be told to {row.target}: {why}"
        events.happened(text, service="admin", level="warning")
        return
    Delivery.update(tries=tries, next=clock.now() + pause(tries), outcome=why).where(
        Delivery.id == row.id
    ).execute()


def _end(row: Delivery, how: str, said: str, tries: int | None = None) -> None:
    Delivery.update(
        state=how,
        tries=row.tries + 1 if tries is None else tries,
        outcome=said,
        ended=clock.now(),
    ).where(Delivery.id == row.id).execute()


def lately(limit: int = 100) -> list[Delivery]:
    return list(Delivery.select().order_by(Delivery.id.desc()).limit(limit))


def trim(keep: int) -> None:
    keep_newest(Delivery, keep, Delivery.state != "queued")


def send_trial(run: Run) -> None:
    """The step of the test button: one try, whose outcome is the operation's."""
    config = settings()
    made = message.trial(f"test-{run.id}", node_name(config), clock.now())
    row = add(made, run.subject, LONGEST_PAUSE_S)  # tried here, not by the clock
    try:
        said = send(config, targets.get(run.subject), made)
    except Problem as problem:
        _end(row, "failed", problem.detail)
        raise
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        why = reason(error)
        _end(row, "failed", why)
        raise Problem(
            "alert-undelivered",
            f"{run.subject} could not be told: {why}. Look at its address, port and "
            "secret; the log of deliveries keeps this line.",
            status=502,
        ) from None
    _end(row, "delivered", said)
    run.log(f"{run.subject}: {said}")
    run.memory["result"] = {"delivered": said}


KINDS = (Kind("alert-test", (Step("send", "Send", send_trial),), "operator"),)
