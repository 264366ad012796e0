"""What processes and engines wrote: searched, the newest first, page by page.

What supervisord keeps writes to files of the log folder, which it rotates; what systemd
keeps, to the journal. Both are read through `Source`; where `form serve` runs on a
machine with systemd there are both, since libvirtd is systemd's there.
"""

from __future__ import annotations

import heapq
import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from appliance import clock
from appliance.admin.log_lines import (
    LEVELS,
    LONGEST,
    Entry,
    Level,
    of_journal,
    parse,
    shown,
)
from appliance.admin.programs import programs, units
from appliance.config import Settings
from appliance.problems import NotFound, Unavailable
from appliance.supervision import SYSTEMD

BLOCK = 64 << 10
SCAN = 24 << 20  # bytes of a process that one question looks through
GLUED = 100  # lines of one entry
ROTATED = 3
MOST = 20_000  # entries of one answer


@dataclass(frozen=True)
class Wanted:
    """Which entries: all by default. `before` is the key of the entry to go on from."""

    process: str = ""
    level: Level = "debug"
    text: str = ""
    request: str = ""
    since: float = 0.0
    until: float = float("inf")
    before: tuple[float, str, int] | None = None

    def fits(self, entry: Entry) -> bool:
        return (
            LEVELS.index(entry.level) >= LEVELS.index(self.level)
            and entry.time <= self.until
            and (self.before is None or entry.key < self.before)
            and (not self.request or entry.request == self.request)
            and self.text.casefold() in entry.text.casefold()
        )


def key_of(text: str) -> tuple[float, str, int]:
    """The key that `text_of` wrote; raises ValueError."""
    time, process, place = text.split(",")
    return float(time), process, int(place)


def text_of(entry: Entry) -> str:
    """Where a page ends, for the next one's `before`."""
    return f"{entry.time!r},{entry.process},{entry.place}"


class Source(Protocol):
    """Where entries are kept."""

    def names(self) -> list[str]:
        """The processes that wrote something."""
        ...

    def newest(self, process: str, wanted: Wanted) -> Iterator[Entry]:
        """Entries of one process, the newest first; more than wanted may come."""
        ...

    def marker(self) -> object:
        """Another value whenever something was written."""
        ...


def source(settings: Settings) -> Source:
    """That of this machine."""
    if not SYSTEMD.exists():
        return Files(settings.log_dir)
    journal = units(settings)
    if not (settings.run_dir / "supervisor.sock").exists():
        return Journal(journal)
    own = {program.name for program in programs(settings)}
    engines = {name: unit for name, unit in journal.items() if name not in own}
    return Several(Files(settings.log_dir), Journal(engines))


def names(settings: Settings) -> list[str]:
    """Processes and engines whose logs there are, in the order of their start."""
    order = [program.name for program in programs(settings)]
    found = source(settings).names()
    return sorted(found, key=lambda n: (order.index(n) if n in order else 99, n))


def find(settings: Settings, wanted: Wanted, limit: int) -> tuple[list[Entry], bool]:
    """The newest entries that are wanted, oldest first; whether there may be more.

    Raises NotFound for a process that wrote nothing, Unavailable where they cannot be
    read.
    """
    where = source(settings)
    known = where.names()
    if wanted.process and wanted.process not in known:
        said = ", ".join(known) or "none yet"
        raise NotFound(
            "log-unknown", f"There is no log {wanted.process[:64]!r}; known: {said}."
        )
    chosen = [wanted.process] if wanted.process else known
    streams = [where.newest(name, wanted) for name in chosen]
    merged = heapq.merge(*streams, key=lambda entry: entry.key, reverse=True)
    found = list(islice((e for e in merged if wanted.fits(e)), limit + 1))
    return found[:limit][::-1], len(found) > limit


class Files:
    """NAME.log of a folder, with NAME.log.1 and NAME.log.2 that were rotated away."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        try:
            return sorted(path.stem for path in self._folder.iterdir() if _is_log(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(
                "logs-unreadable", f"{self._folder} cannot be read: {error.strerror}."
            ) from None

    def newest(self, process: str, wanted: Wanted) -> Iterator[Entry]:
        budget, high = SCAN, float("inf")
        for number in range(ROTATED):
            path = self._folder / f"{process}.log{f'.{number}' if number else ''}"
            try:
                size = path.stat().st_size
                for entry in glued(process, backwards(path, budget)):
                    high = min(high, entry.time)
                    kept = replace(entry, time=high)
                    if kept.time < wanted.since:
                        return
                    yield kept
            except OSError:
                return  # it was never rotated, or is just now
            budget -= size
            if budget <= 0:
                return

    def marker(self) -> object:
        found = []
        for path in sorted(self._folder.glob("*.log")):
            try:
                status = path.stat()
                found.append((path.name, status.st_ino, status.st_size))
            except FileNotFoundError:
                continue
        return tuple(found)


def _is_log(path: Path) -> bool:
    return path.suffix == ".log" and path.is_file()


def backwards(path: Path, budget: int) -> Iterator[tuple[int, str]]:
    """(offset, line) from the end of a file, as much as `budget` bytes of it; an
    unfinished last line waits until it is written."""
    with path.open("rb") as file:
        end = start = file.seek(0, 2)
        rest, first = b"", True
        while start > 0 and end - start < budget:
            size = min(BLOCK, start)
            start -= size
            file.seek(start)
            lines = (file.read(size) + rest).split(b"\n")
            rest = lines.pop(0)
            at = start + len(rest) + 1
            offsets = []
            for line in lines:
                offsets.append(at)
                at += len(line) + 1
            for offset, line in zip(reversed(offsets), reversed(lines), strict=True):
                if first:
                    first = False
                    continue
                yield offset, line.decode(errors="replace")
        if start == 0 and not first:
            yield 0, rest.decode(errors="replace")


def glued(process: str, lines: Iterable[tuple[int, str]]) -> Iterator[Entry]:
    """Entries of lines that come backwards; those without a time of their own go with
    the one that they follow."""
    loose: list[str] = []
    for offset, line in lines:
        entry = parse(process, line)
        if entry is None:
            if line.strip() and len(loose) < GLUED:
                loose.append(line[:LONGEST])
            continue
        if loose:
            text = "\n".join((entry.text, *reversed(loose)))
            entry = replace(entry, text=shown(text))
        loose = []
        yield replace(entry, place=offset)


class Journal:
    """systemd's: journalctl(1); `units` are those of the processes, by name."""

    def __init__(self, units: dict[str, str], command: str = "journalctl") -> None:
        self._units = units
        self._command = command

    def names(self) -> list[str]:
        return sorted(self._units)

    def newest(self, process: str, wanted: Wanted) -> Iterator[Entry]:
        arguments = [f"--unit={self._units[process]}", "--reverse", "--output=json"]
        if wanted.since:
            arguments.append(f"--since=@{int(wanted.since)}")
        top = min(wanted.until, wanted.before[0] if wanted.before else float("inf"))
        if top != float("inf"):
            arguments.append(f"--until=@{int(top) + 1}")
        place = 0
        for line in self._run(*arguments):
            try:
                entry = of_journal(process, json.loads(line))
            except ValueError:
                continue
            if entry is not None and entry.time >= wanted.since:
                place -= 1
                yield replace(entry, place=place)

    def marker(self) -> object:
        """Every two seconds: asking the journal costs more than looking."""
        return int(clock.now() / 2)

    def _run(self, *arguments: str) -> Iterator[str]:
        command = [self._command, "--no-pager", "--quiet", *arguments]
        try:
            reader = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError as error:
            raise Unavailable(
                "journal-unreadable",
                f"{self._command} cannot be run: {error.strerror}.",
            ) from None
        with reader:
            try:
                yield from reader.stdout or ()
            finally:
                reader.kill()


class Several:
    """Sources beside each other; of a process that two have, the first counts."""

    def __init__(self, *sources: Source) -> None:
        self._sources = sources

    def names(self) -> list[str]:
        return sorted({name for one in self._sources for name in one.names()})

    def newest(self, process: str, wanted: Wanted) -> Iterator[Entry]:
        holds = (one for one in self._sources if process in one.names())
        return next(holds).newest(process, wanted)

    def marker(self) -> object:
        return tuple(one.marker() for one in self._sources)
