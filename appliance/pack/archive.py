"""Uploaded context folders: .tar.gz, .tar and .zip, unpacked by a child that
runs as nobody. What leaves the folder, is a device or a bomb is refused."""

from __future__ import annotations

# codecs before the child leaves: it cannot read them from its new root
import bz2
import encodings.cp437
import errno
import gzip
import lzma
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from appliance.problems import Problem

MAX_BYTES, MAX_ENTRIES = 4 << 30, 100_000
NOBODY = 65534
CODECS = (bz2, gzip, lzma, zlib, encodings.cp437)
CHILD = "from appliance.pack.archive import main; main()"


class ArchiveError(Problem):
    def __init__(self, detail: str) -> None:
        super().__init__("archive-refused", detail, status=422, title="Archive refused")


def safe_name(name: str) -> str:
    """The name of an entry; raises ArchiveError when it leads out."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"{name[:200]!r} leads out of the folder; pack it again.")
    return str(path)


@dataclass(frozen=True)
class Entry:
    """A file (`read` opens it), a folder (neither) or a link of an archive."""

    name: str
    size: int = 0
    executable: bool = False
    link: str = ""
    read: Callable[[], IO[bytes] | None] | None = None


def unpack(source: IO[bytes], target: Path) -> None:
    """Unpack into the folder `target`; raises ArchiveError. Links are not
    followed out only where `target` is the root: see `unpack_isolated`."""
    with readable():
        for entry in entries(source):
            _place(entry, target / entry.name)


@contextmanager
def readable() -> Iterator[None]:
    """What an archive breaks in here becomes an ArchiveError."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as e:
        why = (str(e).splitlines() or ["it is cut off"])[0].rstrip(":")
        raise ArchiveError(f"Not a readable .tar.gz, .tar or .zip: {why}.") from None
    except (RuntimeError, NotImplementedError) as e:
        raise ArchiveError(f"This zip cannot be read: {e}") from None
    except (zlib.error, lzma.LZMAError) as e:
        raise ArchiveError(f"The archive is damaged: {e}") from None


def entries(source: IO[bytes]) -> Iterator[Entry]:
    """What is in a .tar.gz, .tar or .zip, in its order; raises ArchiveError."""
    source.seek(0)
    if zipfile.is_zipfile(source):
        yield from _of_zip(source)
    else:
        source.seek(0)
        yield from _of_tar(source)


def _bound(total: int, entries: int) -> None:
    if total > MAX_BYTES or entries > MAX_ENTRIES:
        raise ArchiveError(
            f"More than {MAX_BYTES >> 30} GiB or {MAX_ENTRIES} files; leave some out."
        )


def _of_tar(source: IO[bytes]) -> Iterator[Entry]:
    """By hand, as Python 3.11.2 has no extraction filters."""
    total = 0
    with tarfile.open(fileobj=source, mode="r:*") as tar:
        for count, member in enumerate(tar):
            total += member.size
            _bound(total, count)
            if not (member.isreg() or member.isdir() or member.issym()):
                raise ArchiveError(
                    f"{member.name[:200]!r} is a device, a hard link or the like."
                )
            yield Entry(
                safe_name(member.name),
                member.size if member.isreg() else 0,
                bool(member.mode & 0o111),
                member.linkname if member.issym() else "",
                partial(tar.extractfile, member) if member.isreg() else None,
            )


def _place(entry: Entry, path: Path) -> None:
    if not entry.link and entry.read is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if entry.link:
        path.symlink_to(entry.link)
    elif entry.read and (content := entry.read()):
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o755 if entry.executable else 0o644)


def leads_inside(root: Path, link: Path) -> bool:
    """Whether a link leads to a place below `root`; a circle leads nowhere."""
    try:
        link.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
    return link.resolve().is_relative_to(root)


def refuse_links_out(folder: Path) -> None:
    """Raise ArchiveError where a link leads out of `folder`."""
    root = folder.resolve()
    for path in root.rglob("*"):
        if not path.is_symlink():
            continue
        if not leads_inside(root, path):
            name = str(path.relative_to(root))[-200:]
            raise ArchiveError(f"The link {name!r} leads out of the folder.")


def _of_zip(source: IO[bytes]) -> Iterator[Entry]:
    with zipfile.ZipFile(source) as archive:
        items = archive.infolist()
        _bound(sum(item.file_size for item in items), len(items))
        for item in items:
            mode = item.external_attr >> 16
            if mode & 0o170000 == 0o120000:
                raise ArchiveError(f"{item.filename[:200]!r} is a link; use a tar.")
            yield Entry(
                safe_name(item.filename),
                item.file_size,
                bool(mode & 0o111),
                read=None if item.is_dir() else partial(archive.open, item),
            )


def unpack_isolated(source: Path, target: Path) -> None:
    """`unpack` in a child that may do nothing else; `target` must not exist."""
    target.mkdir(parents=True)
    target.chmod(0o755)
    os.chown(target, NOBODY, NOBODY)
    with source.open("rb") as archive:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(target)],
            stdin=archive,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600,
            check=False,
        )
    try:
        if done.returncode:
            lines = done.stderr.strip().split("\n", 1) or ["the archive cannot be read"]
            raise ArchiveError(" ".join(lines)[-500:])
        refuse_links_out(target)
    except ArchiveError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def main() -> None:
    """Child: the archive on stdin, the folder in argv, which becomes its root."""
    with received() as archive:
        confine(sys.argv[1])
        try:
            unpack(archive, Path())
        except ArchiveError as error:
            sys.exit(error.detail)


@contextmanager
def received() -> Iterator[IO[bytes]]:
    """What came on stdin, as a file in memory, with limits on all that follows."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, MAX_BYTES))
    with os.fdopen(os.memfd_create("archive"), "w+b") as archive:
        shutil.copyfileobj(sys.stdin.buffer, archive)
        yield archive


def confine(folder: str) -> None:
    """Into the folder; root makes it its root, so that no link leads out, and
    gives up uid 0."""
    os.chdir(folder)
    if os.getuid() == 0:
        os.chroot(".")
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


if __name__ == "__main__":
    main()
