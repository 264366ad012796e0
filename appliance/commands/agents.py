"""`form agent`: the catalogue, and taking things out of it."""

from __future__ import annotations

from typing import Any

import click

from appliance.terminal import at, call, follow, plain_errors, say

API = "/api/v1/market/agents"


@click.group()
def agent() -> None:
    """Agents of the catalogue; AGENT is NAME or OWNER/NAME."""


def found(name: str) -> Any:
    return call("GET", at(API, *name.split("/")))


@agent.command("list")
@plain_errors
def agent_list() -> None:
    """List the agents that are known here: name, latest version, description."""
    for item in call("GET", API)["agents"]:
        about = item.get("description") or ""
        say(f"{item['id']:32} {item['latest']:10} {about}".rstrip())


@agent.command("show")
@click.argument("name", metavar="AGENT")
@plain_errors
def agent_show(name: str) -> None:
    """Show AGENT with its versions, and its instances where you may see them."""
    item = found(name)
    say(f"{item['id']} {item['latest']}")
    if item.get("description"):
        say(item["description"])
    for version in item["versions"]:
        say(f"version  {version['version']:10} {version['created']}")
    for one in item["instances"]:
        say(f"instance {one['id']} {one['version']:10} {one['state']} {one['address']}")


@agent.command("delete")
@click.argument("name", metavar="AGENT")
@click.option("--volumes", is_flag=True, help="Its volumes too, with all on them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@plain_errors
def agent_delete(name: str, volumes: bool, yes: bool) -> None:
    """Delete AGENT with its instances, names, versions and secrets."""
    full = found(name)["id"]
    say_belongings(call("GET", f"{API}/{full}/belongings"), volumes)
    if not yes:
        click.confirm(f"Delete {full}?", abort=True)
    query = {"volumes": "1" if volumes else "0"}
    follow(call("DELETE", f"{API}/{full}", params=query)["id"])


def say_belongings(item: Any, volumes: bool) -> None:
    """What goes with the agent, and of its volumes how much is on them."""
    for what in ("instances", "versions", "names", "secrets"):
        say(f"{what:10} {', '.join(item[what]) or 'none'}")
    if item["volumes"] is None:
        say("volumes    not measured yet; form vmm volumes shows them soon")
    for volume in item["volumes"] or ():
        what = "is deleted" if volumes else "stays"
        say(f"volume     {volume['mount']} {volume['bytes'] / 1e6:.0f} MB, {what}")


@agent.command("delete-version")
@click.argument("name", metavar="AGENT")
@click.argument("version")
@plain_errors
def agent_delete_version(name: str, version: str) -> None:
    """Delete VERSION of AGENT, which nothing runs and which is not the latest."""
    path = at(API, *found(name)["id"].split("/"), "versions", version)
    follow(call("DELETE", path)["id"])


@agent.command("share")
@click.argument("name", metavar="AGENT")
@click.argument("account")
@click.option("--right", default="call", show_default=True, help="call, view, manage.")
@plain_errors
def agent_share(name: str, account: str, right: str) -> None:
    """Share AGENT with ACCOUNT, or with everyone on this node."""
    path = at(API, *found(name)["id"].split("/"), "rights", account)
    given = call("PUT", path, json={"right": right})
    say(f"{account} may {right} {given['agent']}.")


@agent.command("unshare")
@click.argument("name", metavar="AGENT")
@click.argument("account")
@plain_errors
def agent_unshare(name: str, account: str) -> None:
    """Take the right of ACCOUNT on AGENT away."""
    path = at(API, *found(name)["id"].split("/"), "rights", account)
    say(f"{call('DELETE', path)['agent']} is not shared with {account} any more.")


@agent.command("rights")
@click.argument("name", metavar="AGENT")
@plain_errors
def agent_rights(name: str) -> None:
    """List whom AGENT is shared with."""
    item = call("GET", at(API, *found(name)["id"].split("/"), "rights"))
    say(f"{item['owner']:24} owner")
    for given in item["rights"]:
        by = f", by {given['giver']}" if given["giver"] else ""
        say(f"{given['account']:24} {given['right']:8} {given['given']}{by}")
