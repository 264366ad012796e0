"""A bundle from the node's own console, whatever of the node is down.

Needs root. Databases are opened to read alone, and nothing of the node is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peewee import PeeweeException

from appliance import config, database
from appliance.admin.support import bundle
from appliance.admin.support.bundle import Manifest
from appliance.config import Settings
from appliance.problems import Conflict, Problem


def write(path: Path | None) -> tuple[Path, Manifest]:
    """Write a bundle to a new file; by default named by the time, in this folder."""
    trouble: dict[str, str] = {}
    settings = readable(trouble)
    open_databases(settings, trouble)
    draft = path or Path(Manifest(0.0).name)
    with new(draft.with_name(f".{draft.name}.new")) as place:
        with place.open("wb") as file:
            found = bundle.write(settings, file, trouble)
        target = path or Path(f"{found.name}.tar.gz")
        must_be_new(target)
        place.rename(target)
    return target, found


@contextmanager
def new(path: Path) -> Iterator[Path]:
    """An empty file for root alone, which is gone afterwards unless it was renamed."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def must_be_new(path: Path) -> None:
    if path.exists():
        raise Conflict("file-there", f"{path} is there already; choose another name.")


def readable(trouble: dict[str, str]) -> Settings:
    """The settings; without their file, where that is wrong."""
    try:
        return config.settings()
    except Problem as problem:
        trouble["the settings file"] = (
            f"{problem.detail} Instead the defaults and the environment are here."
        )
    os.environ["FORMATION_CONFIG"] = os.devnull
    config.settings.cache_clear()
    return config.settings()


def open_databases(settings: Settings, trouble: dict[str, str]) -> None:
    folder = settings.data_dir / "node"
    for name, known in (("node.db", database.node), ("metrics.db", database.metrics)):
        try:
            database.open_reading(known, folder / name)
        except (PeeweeException, OSError) as error:
            trouble[name] = f"{folder / name}: {error}"
