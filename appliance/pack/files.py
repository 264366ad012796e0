"""Formfiles on the disk of the person who wrote them."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from appliance.pack.archive import ArchiveError, leads_inside
from appliance.pack.formfile import Diagnostic
from appliance.pack.parser import LONGEST, Checked, check, conceal, decoded

NAME = "Formfile"


def check_file(path: Path) -> Checked:
    """Check a Formfile, or that of a folder, beside the files that it copies.
    What cannot be read is a finding as well."""
    file = path / NAME if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            text = opened.read(LONGEST + 1)
    except OSError as error:
        why = f"{file}: {error.strerror or error}"
        hint = f"Name a Formfile, or a folder that holds one named {NAME}."
        return Checked(None, (Diagnostic(1, 1, "error", "", "readable", why, hint),))
    return check(text, file.parent)


def pack_folder(
    folder: Path,
    target: IO[bytes],
    packed: Callable[[int, int], None] = lambda files, size: None,
) -> None:
    """Write the folder as a .tar.gz, with hashes for its Formfile's passwords;
    `packed` hears of files and bytes so far. Dotfiles go along; raises ArchiveError
    on what no image can hold."""
    root, size = folder.resolve(), 0
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as tar:
        for count, path in enumerate(_walk(root), 1):
            info, content = _member(root, path)
            with content or io.BytesIO():
                tar.addfile(info, content)
            size += info.size
            packed(count, size)


def _walk(folder: Path) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise ArchiveError(f"{folder}: {error.strerror}.") from None
    for path in inside:
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)


def _member(root: Path, path: Path) -> tuple[tarfile.TarInfo, IO[bytes] | None]:
    info = tarfile.TarInfo(path.relative_to(root).as_posix())
    about = path.lstat()
    info.mode = 0o755 if about.st_mode & 0o111 else 0o644
    if stat.S_ISLNK(about.st_mode):
        _must_stay_inside(root, path)
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
        return info, None
    if stat.S_ISDIR(about.st_mode):
        info.type = tarfile.DIRTYPE
        return info, None
    if not stat.S_ISREG(about.st_mode):
        raise ArchiveError(
            f"{path} is a socket, a pipe or a device; no image can hold it: "
            "remove it from the folder."
        )
    try:
        if path == root / NAME:
            text = conceal(decoded(path.read_bytes())).encode()
            info.size = len(text)
            return info, io.BytesIO(text)
        info.size = about.st_size
        return info, path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}.") from None


def _must_stay_inside(root: Path, path: Path) -> None:
    if not leads_inside(root, path) or path.readlink().is_absolute():
        raise ArchiveError(
            f"The link {path} leads out of the folder; put the file itself there."
        )
