"""`form logs`: what processes and engines wrote, read where it is kept.

Without the node's help, so that they can be read when it does not run.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from appliance.terminal import plain_errors, say

if TYPE_CHECKING:
    from appliance.admin.log_lines import Entry
    from appliance.admin.logs import Wanted

LOOK_S = 0.3
LEVELS = ("debug", "info", "warning", "error")
MARKS = {"warning": "yellow", "error": "red"}


@click.command()
@click.argument("process", default="")
@click.option("-f", "--follow", "on", is_flag=True, help="Go on as lines come.")
@click.option("-n", "--lines", default=50, show_default=True)
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Or worse.")
@click.option("--since", default="", help="10m, 2h or 3d ago, or RFC 3339.")
@click.option("--grep", "text", default="", help="A text that is in the entry.")
@click.option("--request", default="", help="The id of a request (X-Request-ID).")
@plain_errors
def logs(
    process: str, on: bool, lines: int, level: str, since: str, text: str, request: str
) -> None:
    """Print the end of the log of PROCESS (state, jobs, web, …), or of all."""
    from appliance.admin.log_lines import moment
    from appliance.admin.logs import Wanted, find
    from appliance.config import settings
    from appliance.problems import Invalid

    try:
        begin = moment(since) if since else 0.0
    except ValueError as error:
        raise Invalid(f"--since {error}.") from None
    wanted = Wanted(process, level, text, request, begin)  # type: ignore[arg-type]
    found, _ = find(settings(), wanted, max(lines, 1))
    for entry in found:
        show(entry)
    if on:
        follow(wanted, found)


def follow(wanted: Wanted, found: list[Entry]) -> None:
    """Print what comes after `found`, until Ctrl-C."""
    from dataclasses import replace

    from appliance import clock
    from appliance.admin.logs import MOST, find, source
    from appliance.config import settings

    where, pause, seen = source(settings()), threading.Event(), {e.key for e in found}
    last = found[-1].time if found else clock.now()
    marker: object = None
    while True:
        if marker != (marker := where.marker()):
            # what two processes write at one moment may come one after the other
            news, _ = find(settings(), replace(wanted, since=last - 2), MOST)
            for entry in news:
                if entry.key not in seen and (entry.time >= last - 2):
                    show(entry)
                    last = max(last, entry.time)
            seen = {entry.key for entry in news}
        pause.wait(LOOK_S)


def show(entry: Entry) -> None:
    from appliance import clock

    request = f" [{entry.request}]" if entry.request else ""
    level = click.style(f"{entry.level:7}", fg=MARKS.get(entry.level))
    head = f"{clock.rfc3339(entry.time)} {entry.process:11}"
    click.echo(f"{head} {level}", nl=False)
    say(f"{request} {entry.text}")
