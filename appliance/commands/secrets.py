"""`form secret`: secrets of agents. Values come by stdin or a prompt, never argv."""

from __future__ import annotations

import sys

import click

from appliance.terminal import at, call, plain_errors

API = "/api/v1/market/agents"


@click.group()
def secret() -> None:
    """Secrets of agents; AGENT is NAME or OWNER/NAME."""


@secret.command("set")
@click.argument("agent")
@click.argument("name")
@plain_errors
def secret_set(agent: str, name: str) -> None:
    """Set the secret NAME of AGENT; the value is asked for, or read from stdin."""
    if sys.stdin.isatty():
        value = str(click.prompt("Value", hide_input=True))
    else:
        value = sys.stdin.read().removesuffix("\n")
    found = call("PUT", place(agent, name), content=value.encode())
    click.echo(f"{name} is set.")
    hint(found["agent"])


@secret.command("list")
@click.argument("agent")
@plain_errors
def secret_list(agent: str) -> None:
    """List which secrets AGENT has and lacks; values are never shown."""
    found = call("GET", place(agent))
    for item in found["secrets"]:
        how = f"set {item['changed']}" if item["set"] else "missing"
        note = "" if item["asked"] else "  (the Formfile does not ask for it)"
        click.echo(f"{item['name']:24} {how}{note}")
    if found["waits_for_deployment"]:
        hint(found["agent"])


@secret.command("remove")
@click.argument("agent")
@click.argument("name")
@plain_errors
def secret_remove(agent: str, name: str) -> None:
    """Forget the secret NAME of AGENT."""
    found = call("DELETE", place(agent, name))
    click.echo(f"{name} is removed.")
    hint(found["agent"])


def place(agent: str, *name: str) -> str:
    return at(API, *agent.split("/"), "secrets", *name)


def hint(agent: str) -> None:
    click.echo(f"It takes effect when {agent} is deployed again: form deploy DIR")
