"""What a person uploads: an archive, or the files of a folder one by one. It is
kept as one plain tar without the Formfile, whose text may hold passwords; hostile
archives are read by a child that writes only there."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from appliance.pack.archive import (
    MAX_ENTRIES,
    ArchiveError,
    Entry,
    confine,
    entries,
    readable,
    received,
    safe_name,
)
from appliance.pack.parser import LONGEST

FORMFILE = "Formfile"
LITTER = ("__MACOSX", ".DS_Store")
CHILD = "from appliance.pack.upload import main; main()"
LIMIT_S = 600
PROGRAMS = (b"#!", b"\x7fELF")


@dataclass(frozen=True)
class Upload:
    """`formfile` is None where the upload holds none; `names` are its files,
    `links` those that lead elsewhere."""

    formfile: bytes | None
    names: frozenset[str] = frozenset()
    links: frozenset[str] = field(default=frozenset())

    def holds(self, source: str) -> bool:
        """Whether a COPY finds this there; true where a link must be followed."""
        parts = [part for part in source.split("/") if part not in ("", ".")]
        if not parts:
            return bool(self.names)
        path = "/".join(parts)
        above = {"/".join(parts[: n + 1]) for n in range(len(parts))}
        below = path + "/"
        return (
            path in self.names
            or bool(above & self.links)
            or any(name.startswith(below) for name in self.names)
        )


def root_of(names: Iterable[str]) -> str:
    """The folder inside an upload that the Formfile stands, or would stand, in."""
    known = set(names)
    if FORMFILE in known:
        return ""
    tops = {name.split("/")[0] for name in known if "/" in name}
    holders = [top for top in tops if f"{top}/{FORMFILE}" in known]
    if len(holders) == 1:
        return f"{holders[0]}/"
    alone = len(tops) == 1 and all("/" in n or n in tops for n in known)
    return f"{tops.pop()}/" if alone and not holders else ""


def repack(source: IO[bytes], target: IO[bytes]) -> Upload:
    """Write the archive as a plain tar, from the Formfile's folder on."""
    formfile, names, links = None, set[str](), set[str]()
    with readable():
        root = root_of(e.name for e in entries(source) if not _is_litter(e.name))
        with tarfile.open(fileobj=target, mode="w") as tar:
            for entry in entries(source):
                name = entry.name.removeprefix(root)
                if not entry.name.startswith(root) or _is_litter(name):
                    continue
                if name == FORMFILE:
                    formfile = _text(entry)
                elif name not in ("", "."):
                    (links if entry.link else names).add(name)
                    _add(tar, name, entry)
    return Upload(formfile, frozenset(names), frozenset(links))


def _is_litter(name: str) -> bool:
    return any(part in LITTER for part in name.split("/"))


def _text(entry: Entry) -> bytes:
    content = entry.read() if entry.read else None
    if content is None:
        raise ArchiveError("The Formfile is a link or a folder; put the file itself.")
    return content.read(LONGEST + 1)


def _add(tar: tarfile.TarFile, name: str, entry: Entry) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if entry.executable else 0o644
    if entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    elif entry.read is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size = entry.size
        tar.addfile(info, entry.read())
        return
    tar.addfile(info)


def of_archive(source: IO[bytes], target: Path) -> Upload:
    """Take an uploaded archive in; `target` must not exist and is left only when
    all went well. Raises ArchiveError."""
    try:
        with (
            tempfile.TemporaryDirectory() as empty,
            tempfile.TemporaryFile() as report,
            _new(target) as tar,
        ):
            done = subprocess.run(
                [sys.executable, "-c", CHILD, empty, str(report.fileno())],
                stdin=source,
                stdout=tar,
                stderr=subprocess.PIPE,
                pass_fds=(report.fileno(),),
                timeout=LIMIT_S,
                check=False,
            )
            if done.returncode:
                said = done.stderr.decode(errors="replace").strip()
                last = said.splitlines()[-1:] or ["The archive cannot be read."]
                raise ArchiveError(last[0][-500:])
            report.seek(0)
            return _reported(json.load(report))
    except subprocess.TimeoutExpired:
        target.unlink(missing_ok=True)
        raise ArchiveError(f"Reading it takes more than {LIMIT_S} s.") from None
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _new(path: Path) -> IO[bytes]:
    """A new file that nobody else may read."""
    path.touch(mode=0o600, exist_ok=False)
    return path.open("wb")


def _reported(told: dict[str, list[str] | str | None]) -> Upload:
    text = told["formfile"]
    return Upload(
        text.encode("latin-1") if isinstance(text, str) else None,
        frozenset(told["names"] or ()),
        frozenset(told["links"] or ()),
    )


def main() -> None:
    """Child: the archive on stdin; argv: an empty folder, the report's descriptor."""
    with received() as archive, os.fdopen(int(sys.argv[2]), "w") as report:
        confine(sys.argv[1])
        try:
            found = repack(archive, sys.stdout.buffer)
        except ArchiveError as error:
            sys.exit(error.detail)
        told = {
            "formfile": found.formfile.decode("latin-1")
            if found.formfile is not None
            else None,
            "names": sorted(found.names),
            "links": sorted(found.links),
        }
        json.dump(told, report)


def of_files(files: Iterable[tuple[str, IO[bytes]]], target: Path) -> Upload:
    """Take the files of a folder in, each with its path below that folder. What
    begins like a program is one: browsers do not tell."""
    named = [(safe_name(name), content) for name, content in files]
    named = [(name, content) for name, content in named if not _is_litter(name)]
    if len(named) > MAX_ENTRIES:
        raise ArchiveError(f"More than {MAX_ENTRIES} files; leave some out.")
    root, formfile, names = root_of(name for name, _ in named), None, set[str]()
    try:
        with _new(target) as file, tarfile.open(fileobj=file, mode="w") as tar:
            for path, content in named:
                name = path.removeprefix(root)
                if name == FORMFILE:
                    formfile = content.read(LONGEST + 1)
                    continue
                size = content.seek(0, io.SEEK_END)
                content.seek(0)
                program = content.read(4).startswith(PROGRAMS)
                content.seek(0)
                names.add(name)
                entry = Entry(name, size, program, "", partial(_itself, content))
                _add(tar, name, entry)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Upload(formfile, frozenset(names))


def _itself(content: IO[bytes]) -> IO[bytes]:
    return content


def of_folder(folder: Path, target: Path) -> Upload:
    """Take a folder of this machine in, such as an example."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    paths = [path for path in paths if "__pycache__" not in path.parts]
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    return of_files(((name, io.BytesIO(p.read_bytes())) for name, p in named), target)
