"""`form redeploy`: a registered version again, or an older one."""

from __future__ import annotations

import click

from appliance.terminal import at, call, follow, plain_errors

API = "/api/v1/market/agents"


@click.command()
@click.argument("agent")
@click.argument("version", default="")
@plain_errors
def redeploy(agent: str, version: str) -> None:
    """Run AGENT anew, by its latest VERSION or an older one, without building.

    What ran before is released once the new instance is healthy. Secrets that were
    set meanwhile reach it.
    """
    found = call("GET", at(API, *agent.split("/")))
    wanted = (*found["id"].split("/"), "versions", version or found["latest"])
    follow(call("POST", at(API, *wanted, "deploy"))["id"])
