"""Becomes one of our programs: `python -m appliance.launcher NAME [ARGUMENT…]`.

The node's units start all by `formation-run`, which chooses the release; which module
serves a name is the release's own. Nothing is imported here that the program does not
need itself.
"""

from __future__ import annotations

import faulthandler
import os
import runpy
import sys
from pathlib import Path

from appliance import notify

THREADS = {"web": 32, "gateway": 256}
"""A request that waits for a task holds a thread (`market.calls`)."""
PHRASE = "formation.passphrase"  # the credential: systemd.exec(5), LoadCredential=


def _gunicorn(name: str) -> tuple[str, ...]:
    config = "--config=python:blueprints.gunicorn"
    return "gunicorn", config, f"--threads={THREADS[name]}", "blueprints.wsgi:app"


MODULES: dict[str, tuple[str, ...]] = {
    "state": ("appliance.state",),
    "jobs": ("jobs",),
    "dns": ("appliance.dns",),
    "web": _gunicorn("web"),
    "gateway": _gunicorn("gateway"),
}
"""The module of each program, with its arguments."""


def take_phrase() -> None:
    """The pass phrase that systemd handed over, where it did."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    file = Path(folder or "/", PHRASE)
    if folder and os.access(file, os.R_OK):  # where none is, the folder is root's
        os.environ["FORMATION_PHRASE"] = str(file)


def form(arguments: list[str]) -> object:
    """The command, under its own name in what it prints."""
    from appliance import cli

    return cli.main(arguments, prog_name="form")


def main() -> object:
    name, *arguments = sys.argv[1:] or [""]
    if name == "form":
        return form(arguments)
    if name not in MODULES:
        names = ", ".join(("form", *MODULES))
        sys.exit(f"formation-run: there is no {name!r}; there are {names}")
    notify.begin()
    faulthandler.enable()  # who is ended by the watchdog says where it stood
    take_phrase()
    os.environ["FORMATION_PROCESS"] = name
    module, *own = MODULES[name]
    sys.argv = [name, *own, *arguments]
    return runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
