"""`form redeploy`: a registered version again, or an older one."""

from __future__ import annotations

import click

from appliance.terminal import call, follow, plain_errors


@click.command()
@click.argument("agent")
@click.argument("version", default="")
@plain_errors
def redeploy(agent: str, version: str) -> None:
    """Run AGENT anew, by its latest VERSION or an older one, without building.

    What ran before is released once the new instance is healthy. Secrets that were
    set meanwhile reach it.
    """
    found = call("GET", f"/api/v1/market/agents/{agent}")
    wanted = f"{found['id']}/versions/{version or found['latest']}"
    follow(call("POST", f"/api/v1/market/agents/{wanted}/deploy")["id"])
