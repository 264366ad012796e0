"""Starts one of the node's programs: its sockets, its user, its rights.

`python -m appliance.admin.launch NAME`, as root. What it prepares is passed on as
systemd does it (sd_listen_fds(3)); then it becomes the program, by setpriv(1).
"""

from __future__ import annotations

import os
import sys

from appliance import sockets
from appliance.admin.programs import Program, programs
from appliance.config import Settings, settings
from appliance.problems import Problem


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


def hand_over_phrase(config: Settings) -> None:
    """The pass phrase in memory that only this program holds: its file is root's."""
    file = config.node.passphrase_file
    if file is None:
        return
    from appliance.identity import read_passphrase  # slow to import, and rarely needed

    phrase = read_passphrase(file)
    descriptor = os.memfd_create("passphrase", 0)
    os.write(descriptor, phrase)
    place = f"/proc/self/fd/{descriptor}"
    os.environ["FORMATION_NODE__PASSPHRASE_FILE"] = place


def launch(config: Settings, name: str) -> None:
    """Become the program `name`; does not return."""
    program = next((p for p in programs(config) if p.name == name), None)
    if program is None:
        raise Problem("program-unknown", f"There is no program {name!r}.")
    run = config.run_dir
    if program.sockets:
        made = [sockets.listen(run / file, group) for file, group in program.sockets]
        sockets.pass_on(made)
    if program.phrase:
        hand_over_phrase(config)
    os.environ["FORMATION_PROCESS"] = name
    command = setpriv(program)
    os.environ["HOME"] = str(config.data_dir / "caddy" if name == "caddy" else run)
    os.execvp(command[0], command)  # noqa: S606


def main() -> None:
    try:
        launch(settings(), sys.argv[1])
    except Problem as problem:
        sys.exit(f"{problem.title}: {problem.detail}")


if __name__ == "__main__":
    main()
