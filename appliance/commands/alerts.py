"""`form alerts`: what fires, rules, silences, and who is told."""

from __future__ import annotations

import re
from typing import Any

import click

from appliance.terminal import at, call, follow, plain_errors, say

API = "/api/v1/admin/alerts"
UNITS = {"m": 60, "h": 3600, "d": 86400}


@click.group()
def alerts() -> None:
    """Alerts of this node."""


@alerts.command("list")
@click.option("--history", is_flag=True, help="With those that were resolved.")
@plain_errors
def alerts_list(history: bool) -> None:
    """What is pending, fires or is silenced."""
    query = {"history": "1" if history else "0"}
    for item in call("GET", API, params=query)["alerts"]:
        why = item["silence"]["why"] if item["silence"] else ""
        say(
            f"{item['state']:9} {item['severity']:9} {item['since']} {item['rule']} "
            f"{item['subject']}: {item['value']} {why}".rstrip()
        )


@alerts.command("rules")
@click.option("--on", metavar="NAME", help="Switch a rule on.")
@click.option("--off", metavar="NAME", help="Switch a rule off.")
@plain_errors
def alerts_rules(on: str | None, off: str | None) -> None:
    """The rules; the page Alerts changes the rest of them."""
    for name, enabled in ((on, True), (off, False)):
        if name:
            known = {rule["name"] for rule in call("GET", f"{API}/rules")["rules"]}
            must_be_known(name, known)
            call("PUT", at(f"{API}/rules", name), json={"enabled": enabled})
    for rule in call("GET", f"{API}/rules")["rules"]:
        state = "on" if rule["enabled"] else "off"
        say(
            f"{rule['name']:22} {state:3} {rule['severity']:9} {rule['signal']} "
            f"{rule['condition']} {rule['value']} for {rule['for_s']} s"
        )


def must_be_known(name: str, known: set[str]) -> None:
    from appliance.problems import NotFound

    if name not in known:
        raise NotFound("rule-unknown", f"There is no rule {name!r}.")


@alerts.command("silence")
@click.argument("rule")
@click.option("--subject", default="", help="Of one subject alone.")
@click.option("--for", "span", default="1h", show_default=True, help="30m, 4h, 2d.")
@click.option("--why", required=True, help="For those who look later.")
@plain_errors
def alerts_silence(rule: str, subject: str, span: str, why: str) -> None:
    """Tell nobody of the alerts of RULE (- for all) for a while."""
    wish: dict[str, Any] = {
        "rule": "" if rule == "-" else rule,
        "subject": subject,
        "seconds": seconds_of(span),
        "why": why,
    }
    found = call("POST", f"{API}/silences", json=wish)
    click.echo(f"Silenced; form alerts unsilence {found['id']} ends it.")


def seconds_of(span: str) -> int:
    from appliance.problems import Invalid

    found = re.fullmatch(r"(\d{1,6})([mhd])", span)
    if found is None:
        raise Invalid(f"--for {span!r}: a number with m, h or d, as in 4h.")
    return int(found[1]) * UNITS[found[2]]


@alerts.command("unsilence")
@click.argument("id_", metavar="ID", type=int)
@plain_errors
def alerts_unsilence(id_: int) -> None:
    """End the silence ID; without knowing it: form alerts silences."""
    call("DELETE", f"{API}/silences/{id_}")
    click.echo("The silence is over.")


@alerts.command("silences")
@plain_errors
def alerts_silences() -> None:
    """The silences that last."""
    for item in call("GET", f"{API}/silences")["silences"]:
        rule = item["rule"] or "all rules"
        say(
            f"{item['id']} until {item['until']} {rule} {item['subject']}: "
            f"{item['why']} ({item['account']})"
        )


@alerts.command("test")
@click.argument("target")
@plain_errors
def alerts_test(target: str) -> None:
    """Send TARGET a test message now, and say how it went."""
    follow(call("POST", at(f"{API}/targets", target, "test"))["id"])


@alerts.command("targets")
@plain_errors
def alerts_targets() -> None:
    """Who is told of alerts."""
    for item in call("GET", f"{API}/targets")["targets"]:
        say(f"{item['name']:22} {item['kind']:9} {item.get('to') or item['host']}")
