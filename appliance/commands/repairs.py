"""`form repairs`: what is wrong with the node, and what mends it."""

from __future__ import annotations

import click

from appliance.terminal import at, call, follow, plain_errors, say

API = "/api/v1/admin/repairs"


@click.group()
def repairs() -> None:
    """What is wrong with this node, and what mends it."""


@repairs.command("list")
@click.option("--checks", is_flag=True, help="The checks, and when each looked.")
@plain_errors
def repairs_list(checks: bool) -> None:
    """What was found, the worst first."""
    found = call("GET", API)
    if checks:
        for item in found["checks"]:
            why = f"could not look: {item['trouble']}" if item["trouble"] else "looked"
            say(f"{item['name']:12} {item['looked']} {why}")
        return
    for item in found["repairs"]:
        word = "ignored" if item["ignored"] else item["severity"]
        fix = f" [{item['fix']}]" if item["fix"] else ""
        say(f"{word:8} {item['id']:24} {item['title']}{fix}")
    if not found["repairs"]:
        say("All checks find the node well." if found["checks"] else "No check looked.")


@repairs.command("show")
@click.argument("id_", metavar="ID")
@plain_errors
def repairs_show(id_: str) -> None:
    """What is wrong, where, and what to do."""
    found = call("GET", at(API, id_))
    say(f"{found['title']} ({found['severity']}, since {found['since']})")
    say(found["text"])
    say(found["cure"])
    if found["fix"]:
        say(f"form repairs fix {id_}: {found['fix']}. {found['loses']}".rstrip())
    if found["ignored"]:
        by, why = found["ignored"]["by"], found["ignored"]["why"]
        say(f"ignored by {by} until it changes: {why or 'no reason given'}")


@repairs.command("fix")
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask, whatever it loses.")
@plain_errors
def repairs_fix(id_: str, yes: bool) -> None:
    """Let the node mend ID, and say whether it helped."""
    path = at(API, id_)
    found = call("GET", path)
    if found["fix"] and found["loses"] and not yes:
        say(found["loses"], err=True)
        click.confirm(f"{found['fix']}?", abort=True, err=True)
    follow(call("POST", f"{path}/fix", json={"confirm": bool(found["loses"])})["id"])


@repairs.command("ignore")
@click.argument("id_", metavar="ID")
@click.option("--why", default="", help="For those who look later.")
@click.option("--off", is_flag=True, help="Say it again.")
@plain_errors
def repairs_ignore(id_: str, why: str, off: bool) -> None:
    """Say no more of ID until it changes."""
    path = f"{at(API, id_)}/ignored"
    if off:
        call("DELETE", path)
        click.echo("It is said again.")
        return
    call("PUT", path, json={"why": why})
    click.echo("Ignored until it changes.")


@repairs.command("check")
@plain_errors
def repairs_check() -> None:
    """Let all checks look now."""
    follow(call("POST", f"{API}/check")["id"])
