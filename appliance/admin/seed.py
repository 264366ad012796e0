"""The seed file: who puts `formation-seed.toml` on a stick, or on the appliance's ESP,
finds the node set up at its first start.

Root finds the file; what is in it is read by a child without rights. What was done, or
why not, is one sentence on the console. A node whose seed is wrong can be claimed.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance import wake
from appliance.admin import media, setup
from appliance.admin.machine import changing, wish
from appliance.admin.media import Partition
from appliance.config import Settings
from appliance.problems import Problem

NAME, LARGEST = "formation-seed.toml", 256 << 10
TABLES = ("node", "account", "services", "machine")
NOBODY, READ_S = 65534, 60
CHILD = "from appliance.admin.seed import main; main()"


@dataclass(frozen=True)
class Seed:
    """What a file holds, and where it was found."""

    where: Partition
    content: bytes


def said_file(settings: Settings) -> Path:
    """What the console says of the seed."""
    return settings.run_dir / "seed.txt"


def run(settings: Settings) -> str:
    """Set the node up by a seed where there is one; returns what is to be said."""
    if setup.is_done(settings):
        return ""
    try:
        seed = find(in_order(media.partitions()))
        said = plant(settings, seed) if seed else ""
    except Problem as problem:
        said = f"The seed file was not taken. {problem.detail}"
    said_file(settings).write_text(said)
    return said


def plant(settings: Settings, seed: Seed) -> str:
    """Check all of it, then do it; the file goes once that is done."""
    try:
        answers = read(seed.content)
        if "machine" in answers:
            changing.must_be_managed()
        wished = wish.checked(setup.table(answers.pop("machine", {}), "machine"))
        setup.steps_of(settings, answers, NAME)
    except Problem as problem:
        raise Problem(problem.name, f"{seed.where.path}: {problem.detail}") from None
    if wished.document():
        changing.at_once(wished)
    operator = setup.from_answers(settings, answers, NAME)
    for process in wake.PROCESSES:
        wake.notify(settings.run_dir, process, "setup")
    done = f"The seed file set the node up; its operator is {operator.name}."
    return f"{done} {erased(seed.where)}"


def in_order(found: Iterable[Partition]) -> list[Partition]:
    """Sticks first, then the ESP, then whatever else has files."""
    return sorted(found, key=lambda one: (not one.is_loose, not one.is_esp, one.path))


def find(places: Iterable[Partition]) -> Seed | None:
    """The first seed; a partition that cannot be looked into has none."""
    for place in places:
        try:
            with opened(place, writable=False) as folder:
                content = content_of(folder / NAME)
        except (Problem, OSError):
            continue
        if content is not None:
            return Seed(place, content)
    return None


@contextmanager
def opened(place: Partition, writable: bool) -> Iterator[Path]:
    """Its files: where it is mounted already, or for the block alone."""
    if place.mounts:
        yield Path(place.mounts[0])
        return
    with media.mounted(place, writable) as folder:
        yield folder


def content_of(file: Path) -> bytes | None:
    """A plain file's content, of no more than its bound; no link is followed."""
    try:
        opened_ = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(opened_, "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            return None
        return source.read(LARGEST + 1)


def read(content: bytes) -> dict[str, Any]:
    """The tables of the file, by a child of nobody's; raises Problem."""
    if len(content) > LARGEST:
        raise Problem("seed-wrong", f"{NAME} is larger than {LARGEST >> 10} KiB.")
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=content,
            capture_output=True,
            timeout=READ_S,
            check=False,
        )
        found = json.loads(done.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        raise Problem("seed-wrong", f"{NAME} cannot be read.") from None
    if "wrong" in found:
        raise Problem("seed-wrong", f"{NAME}: {found['wrong']}.")
    return checked_tables(found["tables"])


def checked_tables(found: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(found) - set(TABLES))
    if unknown:
        known = ", ".join(f"[{name}]" for name in TABLES)
        text = f"{NAME}: [{unknown[0][:40]}] is not known here; known are {known}."
        raise Problem("seed-wrong", text)
    return found


def give_up_rights() -> None:
    """Be nobody from now on. By the child itself: its program may lie where nobody else
    than root can start it."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def main() -> None:
    """The child: TOML from stdin, JSON to stdout."""
    give_up_rights()
    try:
        text = sys.stdin.buffer.read(LARGEST + 1).decode("utf-8-sig")
        found: dict[str, Any] = {"tables": tomllib.loads(text)}
    except UnicodeDecodeError:
        found = {"wrong": "it is no UTF-8 text"}
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = {"wrong": f"it is no TOML: {error}"}
    print(json.dumps(found, default=str))


def erased(place: Partition) -> str:
    """Overwrite the file and remove it: it holds a password. Says what became of it."""
    try:
        with opened(place, writable=True) as folder:
            erase(folder / NAME)
    except (Problem, OSError):
        return (
            f"{place.path} cannot be written, so {NAME} is still on it with the "
            "password: take it away."
        )
    return f"{NAME} was erased from {place.path}."


def erase(file: Path) -> None:
    """What a flash chip keeps of it elsewhere is beyond us."""
    size = file.stat().st_size
    with file.open("r+b") as target:
        target.write(b"\n" * size)
        target.flush()
        os.fsync(target.fileno())
    file.unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
