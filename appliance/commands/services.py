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


@processes.command("show")
@click.argument("process")
@plain_errors
def processes_show(process: str) -> None:
    """Show PROCESS: state, what it uses, limits."""
    found = call("GET", at(f"{API}/processes", process))
    say(f"{found['title']} ({found['name']}) is {found['state']} {found['said']}")
    say(f"uses       {found['memory'] / 1e6:.0f} MB, {found['tasks']} tasks, ", end="")
    say(f"{found['files']} files, {len(found['connections'])} connections")
    say(f"with node  {'starts' if found['enabled'] else 'does not start'}")
    limits = {name: value for name, value in found["limits"].items() if value}
    said = ", ".join(f"{name} {value}" for name, value in limits.items())
    say(f"limits     {said or 'none'}")


@processes.command("limits")
@click.argument("process")
@click.option("--cpu", "cpu_percent", type=int, help="Percent of one core.")
@click.option("--memory", "memory_mib", type=int, help="MiB.")
@click.option("--files", type=int, help="Open at once in each of its processes.")
@click.option("--tasks", type=int, help="Threads of all its processes.")
@plain_errors
def processes_limits(process: str, **wanted: int | None) -> None:
    """Limit PROCESS, now and after each of its starts; 0 is no limit, and what is not
    named stays."""
    path = at(f"{API}/processes", process)
    limits = call("GET", path)["limits"]
    named = {name: value for name, value in wanted.items() if value is not None}
    if named:
        limits |= named
        follow(call("PUT", f"{path}/limits", json=limits)["id"])
        return
    for name, value in limits.items():
        say(f"{name:12} {value or 'no limit'}")


@processes.command("connections")
@click.argument("process")
@click.option("--close", "id_", metavar="ID", help="Close the connection of this id.")
@plain_errors
def processes_connections(process: str, id_: str | None) -> None:
    """List what PROCESS listens on and is connected to, or close a connection."""
    path = at(f"{API}/processes", process)
    if id_ is not None:
        follow(call("DELETE", at(f"{path}/connections", id_))["id"])
        return
    for link in call("GET", path)["connections"]:
        ends = f"{link['local']:24} {link['remote'] or '–':24}"
        say(f"{link['id']:>10} {link['kind']:4} {ends} {link['state']}")


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
        "enable": "PROCESS starts with the node from now on.",
        "disable": "PROCESS does not start with the node any more.",
    },
)
