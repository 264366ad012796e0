"""What people are told of an alert, whatever way it takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.admin.alerts.evaluation import Alert
from appliance.clock import rfc3339

MARKS = {"firing": "Alert", "resolved": "Resolved", "test": "Test"}


@dataclass(frozen=True)
class Message:
    """`news` is firing, resolved or test; `id` is the same at each try."""

    id: str
    node: str
    news: str
    rule: str
    title: str
    subject_of: str
    value: str
    severity: str
    since: str
    runbook: str

    @property
    def subject(self) -> str:
        return f"[{self.node}] {MARKS[self.news]}: {self.title}"

    @property
    def text(self) -> str:
        lines = [
            f"{MARKS[self.news]}: {self.title}",
            "",
            f"Node:     {self.node}",
            f"Subject:  {self.subject_of}",
            f"Value:    {self.value}",
            f"Severity: {self.severity}",
            f"Since:    {self.since}",
        ]
        if self.runbook:
            lines += ["", f"What to do: /alerts/runbooks/{self.runbook} on the node"]
        return "\n".join(lines) + "\n"


def of(alert: Alert, id_: str, node: str, news: str, runbook: str) -> Message:
    return Message(
        id_,
        node,
        news,
        alert.rule,
        alert.title,
        alert.subject,
        alert.value,
        alert.severity,
        rfc3339(alert.since) or "",
        runbook,
    )


def trial(id_: str, node: str, now: float) -> Message:
    """What the test button sends."""
    title = "Alerts of this node reach you"
    since = rfc3339(now) or ""
    return Message(id_, node, "test", "test", title, "node", "test", "info", since, "")
