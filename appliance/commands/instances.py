"""`form vmm`: instances. One is named by its id, or by its agent's name."""

from __future__ import annotations

from typing import Any

import click

from appliance.terminal import call, follow, patiently, plain_errors, say

API = "/api/v1/vmm/instances"
PAUSE_S = 0.5


@click.group()
def vmm() -> None:
    """Instances; INSTANCE is an id or the name of an agent that has one."""


def meant(name: str) -> str:
    """The id of the instance that is meant; raises a sentence where none or several
    are."""
    from appliance.problems import Conflict, NotFound

    known = call("GET", API)["instances"]
    if any(item["id"] == name for item in known):
        return name
    found = [i["id"] for i in known if name in (i["agent"], i["agent"].split("/")[-1])]
    if not found:
        raise NotFound(
            "instance-unknown", f"No instance and no agent is called {name}."
        )
    if len(found) > 1:
        text = f"{name} has several instances; use an id: {', '.join(found)}"
        raise Conflict("instance-ambiguous", text)
    return str(found[0])


@vmm.command("list")
@plain_errors
def vmm_list() -> None:
    """List the instances of this node."""
    for item in call("GET", API)["instances"]:
        say(
            f"{item['id']} {item['agent']:24} {item['version']:8} "
            f"{item['state']:10} {item['address']} "
            + " ".join([*(gpu["name"] for gpu in item.get("gpus", ())), item["reason"]])
        )


@vmm.command("gpus")
@plain_errors
def vmm_gpus() -> None:
    """List the GPUs of this node, and who holds them."""
    found = call("GET", "/api/v1/vmm/gpus")["gpus"]
    for gpu in found:
        by = f" by {gpu['agent']}" if gpu["agent"] else ""
        why = f": {gpu['reason']}" if gpu["reason"] else ""
        say(f"{gpu['address']} {gpu['name']}, {gpu['state']}{by}{why}")
    if not found:
        say("This node has no GPU.")


def show(instance: str, what: str, on: bool) -> None:
    """Print a log's end; `on` goes on with what comes."""
    from threading import Event

    id_, pause = meant(instance), Event()
    found: Any = call("GET", f"{API}/{id_}/{what}")
    while True:
        for line in found["lines"]:
            say(line)
        if not on:
            return
        pause.wait(PAUSE_S)
        found = patiently("GET", f"{API}/{id_}/{what}?after={found['next']}")


@vmm.command("console")
@click.argument("instance")
@click.option("-f", "--follow", "on", is_flag=True, help="Go on as lines come.")
@plain_errors
def vmm_console(instance: str, on: bool) -> None:
    """Print the end of an instance's console, its agent's output included."""
    show(instance, "console", on)


@vmm.command("log")
@click.argument("instance")
@click.option("-f", "--follow", "on", is_flag=True, help="Go on as lines come.")
@plain_errors
def vmm_log(instance: str, on: bool) -> None:
    """Print the end of what an instance's agent said."""
    show(instance, "log", on)


def _verb(name: str, method: str) -> None:
    @vmm.command(name, help=f"{name.capitalize()} an instance.")
    @click.argument("instance")
    @plain_errors
    def verb(instance: str) -> None:
        tail = "" if method == "DELETE" else f"/{name}"
        follow(call(method, f"{API}/{meant(instance)}{tail}")["id"])


for _name, _method in (
    ("start", "POST"),
    ("stop", "POST"),
    ("reboot", "POST"),
    ("delete", "DELETE"),
):
    _verb(_name, _method)
