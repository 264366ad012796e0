"""Alerts, their rules, silences, targets and deliveries."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from appliance.admin.alerts.rules import Rule
from blueprints.shapes import Answer, Moment, Query, Wish

Severity = Literal["info", "warning", "critical"]


class Silence(Answer):
    id: int
    rule: str = Field(description="Empty for all.")
    subject: str = Field(description="Empty for all.")
    until: Moment
    why: str
    account: str
    created: Moment


class Alert(Answer):
    rule: str
    subject: str = Field(description="`node`, or the name or id of what it is about.")
    severity: Severity
    title: str
    value: str
    state: Literal["pending", "firing", "silenced", "resolved"]
    silence: Silence | None
    since: Moment
    fired: Moment | None
    ended: Moment | None
    runbook: str | None = Field(description="Its page on this node.")


class Alerts(Answer):
    alerts: list[Alert]


class AlertsQuery(Query):
    history: bool = Field(False, description="1: with those that were resolved.")


class Rules(Answer):
    rules: list[Rule]
    signals: dict[str, str] = Field(description="What a rule may be about.")


class RuleChange(Wish):
    """What is not sent stays as it is."""

    name: str = ""
    title: str = ""
    signal: str = Field("", description="One of the signals that the list has.")
    condition: str = Field("", description="above, below or is.")
    value: str | int | float = Field("", description="A number, or words with commas.")
    for_s: int = Field(300, description="Seconds that it must hold.")
    severity: str = "warning"
    subjects: str = Field("", description="Names with commas; empty for all.")
    runbook: str = ""
    enabled: bool = True


class Silences(Answer):
    silences: list[Silence]


class SilenceWish(Wish):
    rule: str = ""
    subject: str = ""
    seconds: int = Field(description="From a minute to a year.")
    why: str


class MadeSilence(Answer):
    id: int


class Target(Answer):
    """An e-mail target has `host` to `user`, a webhook only the host of its address."""

    name: str
    kind: Literal["email", "standard", "ntfy", "slack"]
    has_secret: bool
    host: str
    port: int | None = None
    tls: str | None = None
    sender: str | None = None
    to: str | None = None
    user: str | None = None


class Targets(Answer):
    targets: list[Target]


class TargetWish(Wish):
    name: str = ""
    kind: str = Field(description="email, standard, ntfy or slack.")
    url: str = Field("", description="Of a webhook.")
    host: str = Field("", description="The mail server.")
    port: int = 587
    tls: str = Field("starttls", description="starttls, tls or none.")
    sender: str = ""
    to: str = Field("", description="Addresses with commas between them.")
    user: str = ""
    secret: str = Field("", description="Empty keeps the one that is there.")


class Delivery(Answer):
    id: int
    message: str
    target: str
    state: Literal["queued", "delivered", "failed"]
    tries: int
    outcome: str
    created: Moment
    ended: Moment | None


class Deliveries(Answer):
    deliveries: list[Delivery]
