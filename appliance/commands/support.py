"""`form support`: what somebody who helps needs to know, in one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from appliance.terminal import answered, at, call, follow, plain_errors, say

API = "/api/v1/admin/support"


@click.command()
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path),
    help="The file; by default one in this folder, named by the time.",
)
@plain_errors
def support(file: Path | None) -> None:
    """Write a support bundle: versions, settings, states, logs; no secrets.

    As root it needs nothing of the node to run, and says what was missing.
    """
    if os.geteuid() == 0:
        from appliance.admin.support import console

        if file is not None:
            console.must_be_new(file)
        path, found = console.write(file)
        for name, why in found.missing.items():
            say(f"missing: {name}: {why}", err=True)
    else:
        path = fetched(file)
    say(f"{path}: {path.stat().st_size / 1e3:.0f} kB. Look into it before you send it.")


def fetched(file: Path | None) -> Path:
    """Let the node make one, and take it."""
    operation = call("POST", API)["id"]
    follow(operation)
    path = file or Path(f"formation-support-{operation}.tar.gz")
    with (
        answered("GET", at(API, operation)) as answer,
        open(path, "xb", opener=private) as out,
    ):
        for piece in answer.iter_bytes():
            out.write(piece)
    return path


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
