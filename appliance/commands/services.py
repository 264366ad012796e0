"""`form services` and `form processes`: look at them, and act on them."""

from __future__ import annotations

import click

from appliance.terminal import at, call, follow, plain_errors, say

API = "/api/v1/admin"


@click.group()
def services() -> None:
    """Services: state, start and stop, what starts with the node."""


@click.group()
def processes() -> None:
    """Processes and engines of the node, and what keeps them."""


@services.command("list")
@plain_errors
def services_list() -> None:
    """List the services: name, state, whether it starts with the node, reason."""
    for item in call("GET", f"{API}/services")["services"]:
        boot = "enabled" if item["enabled"] else "disabled"
        say(f"{item['name']:12} {item['state']:9} {boot:9} {item['reason']}".rstrip())


@services.command("show")
@click.argument("service")
@plain_errors
def services_show(service: str) -> None:
    """Show SERVICE: state, what it needs, checks, and how it was."""
    found = call("GET", at(f"{API}/services", service))
    say(f"{found['title']} ({found['name']}) is {found['state']} {found['reason']}")
    say(f"process    formation-{found['process']}")
    say(f"needs      {', '.join(found['depends']) or 'nothing'}")
    say(f"needed by  {', '.join(found['needed_by']) or 'nothing'}")
    for check in found["checks"]:
        say(f"check      {check['title']}: {check['text']} {check['cure']}".rstrip())
    for row in found["history"]:
        say(f"{moment(row['time'])}  {row['state']:9} {row['reason']}".rstrip())


def moment(seconds: float) -> str:
    from appliance import clock

    return clock.rfc3339(seconds) or ""


@processes.command("list")
@plain_errors
def processes_list() -> None:
    """List processes and engines: name, state, pid, memory, user."""
    found = call("GET", f"{API}/processes")
    for item in found["processes"]:
        size = f"{item['memory'] / 1e6:.0f} MB"
        pid = item["pid"] or "–"
        say(f"{item['name']:10} {item['state']:9} {pid:>7} {size:>8} {item['user']}")
    say(f"{found['keeper']} keeps them")


@processes.command("connections")
@click.argument("process")
@plain_errors
def processes_connections(process: str) -> None:
    """List what PROCESS listens on and is connected to."""
    from appliance.problems import NotFound

    found = call("GET", f"{API}/processes")["processes"]
    item = next((p for p in found if p["name"] == process), None)
    if item is None:
        names = ", ".join(p["name"] for p in found)
        raise NotFound(
            "process-unknown", f"There is no process {process!r}; there are {names}."
        )
    for link in item["connections"]:
        say(f"{link['kind']} {link['local']:24} {link['remote']:24} {link['state']}")


def _acts(group: click.Group, what: str, verbs: dict[str, str]) -> None:
    def add(verb: str, help_: str) -> None:
        @plain_errors
        def act(name: str) -> None:
            follow(call("POST", at(f"{API}/{what}", name, verb))["id"])

        metavar = "SERVICE" if what == "services" else "PROCESS"
        argument = click.Argument(["name"], metavar=metavar)
        group.add_command(
            click.Command(verb, callback=act, params=[argument], help=help_)
        )

    for verb, help_ in verbs.items():
        add(verb, help_)


_acts(
    services,
    "services",
    {
        "start": "Start SERVICE now.",
        "stop": "Stop SERVICE until it is started, or the node is.",
        "restart": "Stop SERVICE and start it again.",
        "reload": "Let SERVICE read its settings again.",
        "enable": "SERVICE starts with the node from now on.",
        "disable": "SERVICE does not start with the node any more.",
    },
)
_acts(
    processes,
    "processes",
    {
        "start": "Start PROCESS.",
        "stop": "Stop PROCESS until it is started, or the node is.",
        "restart": "End PROCESS and start it again.",
        "reload": "Let PROCESS read its settings again.",
    },
)
