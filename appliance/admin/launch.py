"""Starts one of the node's programs: its sockets, its user, its rights.

`python -m appliance.admin.launch FILE NAME`, as root; FILE holds the orders that `form
serve` wrote, so that the settings are not read once more for each program. What it
prepares is passed on as systemd does it (sd_listen_fds(3)); then it becomes the
program, by setpriv(1). All programs start at once: nothing slow is imported here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from appliance import sockets
from appliance.problems import Problem

if TYPE_CHECKING:
    from appliance.admin.programs import Program
    from appliance.config import Settings


class Order(TypedDict):
    """`sockets` are (path, group that may connect); `phrase` is the pass phrase's file,
    for a program that opens keys where one is set; `provisions` is that of its limits,
    which may change until it starts again."""

    command: list[str]
    home: str
    sockets: list[list[str]]
    phrase: str | None
    provisions: str


def setpriv(program: Program) -> tuple[str, ...]:
    """The program's command as its user, without any right that it does not need."""
    if program.user == "root":
        return program.command
    kept = f",+{program.capability}" if program.capability else ""
    return (
        "setpriv",
        f"--reuid={program.user}",
        f"--regid={program.user}",
        "--init-groups",
        "--no-new-privs",
        f"--bounding-set=-all{kept}",
        f"--inh-caps=-all{kept}",
        f"--ambient-caps=-all{kept}",
        "--",
        *program.command,
    )


def order(config: Settings, program: Program) -> Order:
    """What `launch` must know of a program."""
    from appliance.provisions import provisions_file  # slow, and not for `launch`

    run, phrase = config.run_dir, config.node.passphrase_file
    return Order(
        command=list(setpriv(program)),
        home=str(config.data_dir / "caddy" if program.name == "caddy" else run),
        sockets=[[str(run / file), group] for file, group in program.sockets],
        phrase=str(phrase) if phrase and program.phrase else None,
        provisions=str(provisions_file(config)),
    )


def hand_over_phrase(file: Path) -> None:
    """The pass phrase in memory that only this program holds: its file is root's."""
    from appliance.identity import read_passphrase  # slow, and rarely needed

    descriptor = os.memfd_create("passphrase", 0)
    os.write(descriptor, read_passphrase(file))
    place = f"/proc/self/fd/{descriptor}"
    os.environ["FORMATION_NODE__PASSPHRASE_FILE"] = place


def hold(name: str, file: Path) -> None:
    """Hold this process to the program's limits, where it has any."""
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return
    limits = found.get(name, {}).get("limits", {})
    if any(limits.values()):
        from appliance import bounds  # slow, and rarely needed
        from appliance.provisions import Limits

        bounds.hold(name, os.getpid(), Limits(**limits))


def launch(order: Order, name: str) -> None:
    """Become the program `name`; does not return."""
    hold(name, Path(order["provisions"]))
    if order["sockets"]:
        made = [sockets.listen(Path(path), group) for path, group in order["sockets"]]
        sockets.pass_on(made)
    if order["phrase"]:
        hand_over_phrase(Path(order["phrase"]))
    os.environ["FORMATION_PROCESS"] = name
    os.environ["HOME"] = order["home"]
    command = order["command"]
    os.execvp(command[0], command)  # noqa: S606


def main() -> None:
    file, name = sys.argv[1:]
    try:
        launch(json.loads(Path(file).read_text())[name], name)
    except Problem as problem:
        sys.exit(f"{problem.title}: {problem.detail}")


if __name__ == "__main__":
    main()
