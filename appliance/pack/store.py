"""Where layers are kept: who uses one, who makes one, what a crash left.

A layer is a folder named by its key, with a note beside it (title, bytes, generation;
its time is the last use). The generation differs each time that the layer is made,
and is part of the keys of what is built on it. Who builds on a layer holds a shared
lock on its folder; who makes one holds the lock of its key. Locks go with their
process, so nothing stays locked.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.pack.limits import BuildError

DRAFT, OLD, SCRATCH = ".new", ".old", "scratch-"


@dataclass(frozen=True)
class Item:
    """A layer or an image; `used` is when a build or a deployment last took it.

    `parent` is the layer below."""

    kind: Literal["layer", "image"]
    key: str
    title: str
    bytes: int
    used: float
    path: Path
    parent: str = ""


@dataclass(frozen=True)
class Held:
    """A layer that a build stands on."""

    descriptor: int
    generation: str


class Store:
    """The layers below `folder`, whose content belongs to `owner` on."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.folder = folder
        self._locks = folder.with_name("locks")
        self._owner = owner
        for path in (folder, self._locks):
            path.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)

    def hold(self, key: str) -> Held | None:
        """Keep the layer from being collected, until its descriptor is closed; None
        where there is none, or where it is just being replaced."""
        path = self.folder / key
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        generation = self._generation(key)
        if generation is not None and is_same(path, descriptor):
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._note(key))
            return Held(descriptor, generation)
        os.close(descriptor)
        return None

    def _generation(self, key: str) -> str | None:
        """What the note says; None where there is no note: `draft` takes it away
        before it replaces a layer and writes it afterwards."""
        try:
            return str(json.loads(self._note(key).read_text()).get("generation", ""))
        except (OSError, ValueError):
            return None

    @contextmanager
    def making(self, key: str, cancelled: Callable[[], bool]) -> Iterator[None]:
        """Only one makes a layer or image of this key; the others wait."""
        pause = threading.Event()
        with (self._locks / key[:3]).open("w") as lock:
            while not lock_alone(lock.fileno()):
                if cancelled():
                    raise BuildError("was canceled")
                pause.wait(0.1)
            yield

    @contextmanager
    def draft(
        self, key: str, title: str, parent: str = "", generation: str = ""
    ) -> Iterator[Path]:
        """A new folder that becomes the layer when the block ends well."""
        path = self.folder / f"{key}{DRAFT}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        self.give(path)
        try:
            yield path
            done = self.folder / key
            about = {"title": title, "bytes": allocated(path), "parent": parent}
            about["generation"] = generation
            self._note(key).unlink(missing_ok=True)
            if done.exists():
                done.rename(self.folder / f"{key}-{os.getpid()}{OLD}")
            path.rename(done)
            self._write_note(key, json.dumps(about))
        finally:
            shutil.rmtree(path, ignore_errors=True)
        self._drop_old()

    def _write_note(self, key: str, text: str) -> None:
        """In one go: a reader finds all of it or none."""
        new = self.folder / f"{key}.json{DRAFT}"
        new.write_text(text)
        new.rename(self._note(key))

    def give(self, path: Path) -> None:
        os.chown(path, self._owner, self._owner)
        path.chmod(0o755)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what a step needs besides its layer."""
        prefix = f"{SCRATCH}{os.getpid()}-"
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=prefix) as name:
            folder = Path(name)
            folder.chmod(0o711)
            yield folder

    def layers(self) -> list[Item]:
        found = []
        for path in self.folder.iterdir():
            if path.suffix or path.name.startswith(SCRATCH) or not path.is_dir():
                continue
            found.append(self._item(path))
        return found

    def _item(self, path: Path) -> Item:
        note = self._note(path.name)
        try:
            about = json.loads(note.read_text())
            used = note.stat().st_mtime
            title, size = about["title"], about["bytes"]
        except (OSError, ValueError, KeyError):
            return Item("layer", path.name, "", allocated(path), 0.0, path)
        parent = about.get("parent", "")
        return Item("layer", path.name, title, size, used, path, parent)

    def is_held(self, key: str) -> bool:
        """Whether a build stands on the layer now."""
        with alone(self.folder / key) as mine:
            return not mine

    def remove(self, key: str) -> bool:
        """Take a layer away, unless a build stands on it."""
        path = self.folder / key
        with alone(path) as mine:
            if mine:
                path.rename(path.with_name(f"{key}-{os.getpid()}{OLD}"))
        if mine:
            self._note(key).unlink(missing_ok=True)
            self._drop_old()
        return mine

    def sweep(self) -> None:
        """Take away what builders left that died."""
        for path in self.folder.glob(f"*{DRAFT}"):
            with (self._locks / path.name[:3]).open("w") as lock:
                if lock_alone(lock.fileno()):
                    drop(path)
        for path in self.folder.glob(f"{SCRATCH}*"):
            if not Path("/proc", path.name.split("-")[1]).exists():
                shutil.rmtree(path, ignore_errors=True)
        for note in self.folder.glob("*.json"):
            if not note.with_suffix("").exists():
                with (self._locks / note.name[:3]).open("w") as lock:
                    if lock_alone(lock.fileno()) and not note.with_suffix("").exists():
                        note.unlink(missing_ok=True)
        self._drop_old()

    def _drop_old(self) -> None:
        for path in self.folder.glob(f"*{OLD}"):
            with alone(path) as mine:
                if mine:
                    shutil.rmtree(path, ignore_errors=True)

    def _note(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def drop(path: Path) -> None:
    """Remove a folder, or a note's draft."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def allocated(path: Path) -> int:
    """Bytes that a folder or file takes on the disk."""
    done = subprocess.run(
        ["du", "-s", "-B1", str(path)], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[0]) if done.stdout else 0


def lock_alone(descriptor: int) -> bool:
    """Take the lock unless somebody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether nobody holds what is there; then nobody can take it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        yield lock_alone(descriptor) and is_same(path, descriptor)
    finally:
        os.close(descriptor)


def is_same(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to what was opened."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
