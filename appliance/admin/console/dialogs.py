"""What the console's menu asks and does, line by line.

Each is a program of its own, `python -m appliance.admin.console.dialogs NAME`, which
the console gives its terminal to. Ctrl-C goes back to the menu and changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from appliance.admin.console.asking import ask, ask_key, must_be_sure, new_password
from appliance.admin.console.networking import network
from appliance.problems import Conflict, Invalid, Problem
from appliance.terminal import say, sentence

if TYPE_CHECKING:
    from appliance.admin.media import Partition

LINES = 200


def password() -> None:
    """As `form account reset`: the password is typed here, twice."""
    from appliance.admin import recovery

    open_databases()
    name = asked_operator()
    say("It loses its second factor too, and its sessions end. Ctrl-C: back.")
    recovery.reset(name, new_password())
    say(f"{name} logs in by the new password now.")


def open_databases() -> None:
    from appliance import schema
    from appliance.admin import setup
    from appliance.config import usable

    if not setup.is_done(usable()):
        raise Conflict(
            "not-set-up",
            "The node is not set up yet: there is no account. The first screen says "
            "where the wizard is.",
        )
    schema.open_all(usable())


def asked_operator() -> str:
    """The name of an operator; the only one is proposed."""
    from appliance.admin import accounts

    names = [row.name for row in accounts.everyone() if "operator" in row.roles]
    say(f"Operators: {', '.join(names)}")
    name = ask("Whose password", names[0] if len(names) == 1 else "")
    if name not in names:
        raise Invalid(f"{name!r} is no operator of this node; nothing was changed.")
    return name


def problems() -> None:
    """Warnings and errors of the machine and the node, the newest last."""
    page(problem_lines())


def problem_lines() -> list[str]:
    from appliance.supervision import SYSTEMD

    if SYSTEMD.exists():
        command = ["journalctl", "--boot", "--priority=warning", "--no-pager"]
        command += ["--output=short", f"--lines={LINES}", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.splitlines() or ["The log has no warning since start."]
    return own_problem_lines()


def own_problem_lines() -> list[str]:
    """Of the logs that form serve writes."""
    from appliance.config import usable

    found = []
    for file in sorted(usable().log_dir.glob("*.log")):
        lines = file.read_text(errors="replace").splitlines()[-10 * LINES :]
        found += [f"{file.stem}: {line}" for line in lines if is_problem(line)]
    return found[-LINES:] or ["The logs have no warning."]


def is_problem(line: str) -> bool:
    """Whether its level says so, in JSON or as text."""
    words = re.split(r"\W+", line[:300].lower())
    return bool({"warning", "warn", "error", "critical"} & set(words))


def page(lines: list[str]) -> None:
    """A screenful at a time, from the end: no pager, which could start programs."""
    width, height = shutil.get_terminal_size()
    shown = [line[: width - 1] for line in lines]
    size = max(1, height - 2)
    pages = [shown[max(0, end - size) : end] for end in range(len(shown), 0, -size)]
    for number, part in enumerate(pages):
        click.clear()
        for line in part:
            say(line)
        if number + 1 == len(pages):
            return
        if ask_key("Enter: earlier ones; q and Enter: back"):
            raise click.Abort


def support() -> None:
    """Write a support bundle on a stick that is in the machine."""
    from appliance.admin import media
    from appliance.admin.support import console

    stick = asked_stick()
    say("Collecting; this takes a moment …")
    with media.mounted(stick, writable=True) as folder:
        os.chdir(folder)
        try:
            path, found = console.write(None)
        finally:
            os.chdir("/")
        os.sync()
        for name, why in found.missing.items():
            say(f"missing: {name}: {why}")
        say(
            f"{path} is on {stick.path}: {(folder / path).stat().st_size / 1e3:.0f} kB."
        )
    say("You can pull the stick out. Look into the file before you send it.")


def asked_stick() -> Partition:
    from appliance.admin import media

    found = [
        one
        for one in media.partitions()
        if one.is_loose and one.kind in media.WRITE and not one.mounts
    ]
    if not found:
        raise Problem(
            "no-stick",
            "No stick with a FAT or ext4 file system is in this machine. Put one in "
            "and try again; or take the bundle from the node's page Repairs.",
        )
    for number, one in enumerate(found, 1):
        say(f" {number}  {one}")
    number = click.prompt("Which", type=click.IntRange(1, len(found)), default=1)
    return found[number - 1]


def reboot() -> None:
    must_be_sure("Restart the machine, with all that runs on it?")
    systemctl("reboot")


def poweroff() -> None:
    must_be_sure("Power the machine off?")
    systemctl("poweroff")


def systemctl(verb: str) -> None:
    done = subprocess.run(
        ["systemctl", verb], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem("not-done", f"systemctl {verb}: {done.stderr.strip()[:200]}")
    say("It does so now.")


def reset() -> None:
    """Have the data partition made anew at the next start, once that was typed."""
    from appliance.admin.console import factory

    factory.must_be_possible()
    word = os.uname().nodename
    say("All of this node goes: accounts, agents, images, machines' disks, keys, logs.")
    say("Nothing of it comes back.")
    if ask(f"Type the machine's name, {word}, to erase all") != word:
        raise Invalid("That is not its name; nothing was erased.")
    factory.request()
    systemctl("reboot")


def shell() -> None:
    """A shell as root, for an operator who says the password."""
    from appliance.admin import accounts, second_factor
    from appliance.config import usable
    from appliance.supervision import SYSTEMD

    if not usable().admin.console_shell:
        raise Conflict("no-shell", "The setting admin.console_shell is off.")
    open_databases()
    name = ask("Operator")
    secret = click.prompt("Password", hide_input=True)
    account = accounts.log_in(name, secret, "console")
    if "operator" not in account.roles:
        raise Conflict("no-operator", f"{name} is no operator of this node.")
    if second_factor.is_on(account.id):
        second_factor.check(account.id, name, ask("Code"), "console")
    bash = ["/bin/bash", "--login"]
    if SYSTEMD.exists():  # the console's own unit has walls
        bash = ["systemd-run", "--quiet", "--pty", "--collect", *bash]
    subprocess.run(bash, cwd="/", check=False)


DIALOGS: dict[str, Callable[[], None]] = {
    "network": network,
    "password": password,
    "problems": problems,
    "support": support,
    "reboot": reboot,
    "poweroff": poweroff,
    "reset": reset,
    "shell": shell,
}


def run(name: str) -> None:
    """One dialog to its end, which is said; then the menu waits for Enter."""
    try:
        DIALOGS[name]()
    except (KeyboardInterrupt, click.Abort):
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, the console goes on
        say(sentence(error) or f"{type(error).__name__}: {error}")
    try:
        ask_key("Enter: back to the menu")
    except (KeyboardInterrupt, click.Abort):
        return


if __name__ == "__main__":
    run(sys.argv[1])
