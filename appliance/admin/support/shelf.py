"""Bundles that formation-jobs made for the pages: the newest few, for some days."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import clock, operations
from appliance.admin.support import bundle, parts
from appliance.config import Settings, settings
from appliance.operations import Kind, Run, Step
from appliance.problems import NotFound

KEPT, KEPT_S = 3, 7 * 86400.0
ID = re.compile(r"[0-9a-z]{26}")


@dataclass(frozen=True)
class Bundle:
    """`id` is that of the operation that made it."""

    id: str
    made: float
    bytes: int


def folder(config: Settings) -> Path:
    return config.data_dir / "node" / "support"


def file(config: Settings, id_: str) -> Path:
    """Of a bundle that is there; raises NotFound."""
    path = folder(config) / f"{id_}.tar.gz"
    if not ID.fullmatch(id_) or not path.is_file():
        raise NotFound(
            "bundle-unknown", f"There is no support bundle {id_[:40]!r} any more."
        )
    return path


def bundles(config: Settings) -> list[Bundle]:
    """The newest first."""
    found = []
    for path in folder(config).glob("*.tar.gz"):
        id_ = path.name.partition(".")[0]
        if ID.fullmatch(id_):
            about = path.stat()
            found.append(Bundle(id_, about.st_mtime, about.st_size))
    return sorted(found, key=lambda one: one.id, reverse=True)


def request(account: str) -> str:
    """Queue one; returns the operation's id."""
    return operations.submit(
        KIND.name, title="Support bundle", subject="", params={}, account=account
    )


def make(run: Run) -> None:
    """Root writes it, for formation-web alone."""
    config = settings()
    place, number, done = folder(config), len(parts.PARTS) + 8, 0
    owner = place.parent.stat()
    place.mkdir(mode=0o700, exist_ok=True)
    os.chown(place, owner.st_uid, owner.st_gid)
    draft = place / f".{run.id}"

    def said(name: str) -> None:
        nonlocal done
        run.check()
        run.progress(min(done / number, 0.99), name)
        done += 1

    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with draft.open("wb") as out:
            found = bundle.write(config, out, said=said)
        os.chown(draft, owner.st_uid, owner.st_gid)
        draft.rename(place / f"{run.id}.tar.gz")
    finally:
        draft.unlink(missing_ok=True)
    for name, why in found.missing.items():
        run.log(f"{name} is missing: {why}")
    trim(config)
    run.memory["result"] = {"bundle": run.id, "files": len(found.files)}


def trim(config: Settings) -> int:
    """Remove what is old, or beyond the newest; says how many went."""
    gone = 0
    for number, one in enumerate(bundles(config)):
        if number >= KEPT or clock.now() - one.made > KEPT_S:
            file(config, one.id).unlink(missing_ok=True)
            gone += 1
    return gone


def clear(config: Settings) -> int:
    """Remove all of them; says how many went."""
    found = bundles(config)
    for one in found:
        file(config, one.id).unlink(missing_ok=True)
    return len(found)


def document(one: Bundle) -> dict[str, object]:
    return {**asdict(one), "made": clock.rfc3339(one.made)}


KIND = Kind("support", (Step("gather", "Gather", make),), "operator")
