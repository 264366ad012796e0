"""`form console`: what the machine's own screen shows."""

from __future__ import annotations

import os
import sys

import click

from appliance.terminal import plain_errors


@click.command()
@click.option("--text", is_flag=True, help="Print the first screen once.")
@plain_errors
def console(text: bool) -> None:
    """Show addresses, fingerprint and claim code, and a menu for who is at the machine.

    On the appliance it is on the screen and on serial lines, in place of a log-in.
    """
    from appliance.problems import Problem

    if os.geteuid() != 0:  # nothing is imported that the screen needs not itself
        raise Problem("root-needed", "form console needs root: sudo form console.")
    if text:
        print_once()
        return
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise Problem(
            "no-terminal",
            "form console needs a terminal; form console --text has none.",
        )
    from appliance.admin.console import display

    display.main()


def print_once() -> None:
    import shutil

    from appliance.admin.console import facts, screen
    from appliance.terminal import say

    found, _ = facts.look(facts.Facts(), ())
    width, _ = shutil.get_terminal_size()
    for line in screen.home(found, width, height=60):
        say(line.text.rstrip())
