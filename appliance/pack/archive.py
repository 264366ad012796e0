"""Uploaded context folders: .tar.gz, .tar and .zip, unpacked by a child that
runs as nobody. What leaves the folder, is a device or a bomb is refused."""

from __future__ import annotations

# bz2, gzip, lzma and zlib before privileges go: nobody may not read them then
import bz2
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
from pathlib import Path, PurePosixPath

from appliance.problems import Problem

MAX_BYTES, MAX_ENTRIES = 4 << 30, 100_000
NOBODY = 65534
CODECS = (bz2, gzip, lzma, zlib)
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


def unpack(source: Path, target: Path) -> None:
    """Unpack into the empty folder `target`; raises ArchiveError."""
    try:
        if zipfile.is_zipfile(source):
            _unzip(source, target)
        else:
            _untar(source, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as e:
        raise ArchiveError(f"Not a readable .tar.gz, .tar or .zip: {e}") from None
    except (RuntimeError, NotImplementedError) as e:
        raise ArchiveError(f"This zip cannot be read: {e}") from None


def _bound(total: int, entries: int) -> None:
    if total > MAX_BYTES or entries > MAX_ENTRIES:
        raise ArchiveError(
            f"More than {MAX_BYTES >> 30} GiB or {MAX_ENTRIES} files; leave some out."
        )


def _untar(source: Path, target: Path) -> None:
    total = 0
    with tarfile.open(source, "r:*") as tar:
        for count, member in enumerate(tar):
            safe_name(member.name)
            total += member.size
            _bound(total, count)
            if not (member.isreg() or member.isdir() or member.issym()):
                raise ArchiveError(
                    f"{member.name[:200]!r} is a device, a hard link or the like."
                )
            _place(tar, member, target)
    root = target.resolve()
    for path in target.rglob("*"):  # a later link may have bent an earlier one
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise ArchiveError(f"The link {str(path)[-200:]!r} leads out.")


def _place(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one entry; by hand, as Python 3.11.2 has no extraction filters."""
    root = target.resolve()
    path = root / safe_name(member.name)
    parent = path if member.isdir() else path.parent
    if not parent.resolve().is_relative_to(root):
        raise ArchiveError(f"{member.name[:200]!r} leads out through a link.")
    parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        if not (path.parent / member.linkname).resolve().is_relative_to(root):
            raise ArchiveError(f"The link {member.name[:200]!r} leads out.")
        path.symlink_to(member.linkname)
    elif member.isreg():
        content = tar.extractfile(member)
        if content is None or path.is_symlink():
            raise ArchiveError(f"{member.name[:200]!r} cannot be read.")
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)
        path.chmod(0o755 if member.mode & 0o111 else 0o644)


def _unzip(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        items = archive.infolist()
        _bound(sum(item.file_size for item in items), len(items))
        for item in items:
            safe_name(item.filename)
            if (item.external_attr >> 16) & 0o170000 == 0o120000:
                raise ArchiveError(f"{item.filename[:200]!r} is a link; use a tar.")
            path = Path(archive.extract(item, target))
            if (item.external_attr >> 16) & 0o111 and path.is_file():
                path.chmod(0o755)


def unpack_isolated(source: Path, target: Path) -> None:
    """`unpack` in a child that may do nothing else; `target` must not exist."""
    target.mkdir(parents=True)
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
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        lines = done.stderr.strip().split("\n", 1) or ["the archive cannot be read"]
        raise ArchiveError(" ".join(lines)[-500:])


def main() -> None:
    """Child: the archive on stdin, the folder in argv; gives up root first."""
    target = Path(sys.argv[1])
    os.chdir(target)
    source = Path("/proc/self/fd/0")
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, MAX_BYTES))
    with source.open("rb") as archive:
        copy = os.memfd_create("archive")
        with os.fdopen(os.dup(copy), "wb") as memory:
            shutil.copyfileobj(archive, memory)
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    try:
        unpack(Path(f"/proc/self/fd/{copy}"), Path())
    except ArchiveError as error:
        sys.exit(error.detail)


if __name__ == "__main__":
    main()
