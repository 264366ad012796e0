"""Hostile archives are refused, and leave nothing behind."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.pack import ArchiveError, unpack_isolated
from appliance.pack.archive import unpack


def tar_of(path: Path, change: Callable[[tarfile.TarInfo], None]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo("file")
        info.size = 2
        change(info)
        tar.addfile(info, io.BytesIO(b"hi") if info.isreg() else None)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda info: setattr(info, "name", "../file"),
        lambda info: setattr(info, "name", "/etc/file"),
        lambda info: setattr(info, "type", tarfile.CHRTYPE),
        lambda info: (
            setattr(info, "type", tarfile.SYMTYPE),
            setattr(info, "linkname", "/etc/passwd"),
        ),
        lambda info: (
            setattr(info, "type", tarfile.LNKTYPE),
            setattr(info, "linkname", "../../etc/passwd"),
        ),
    ],
    ids=["dots", "absolute", "device", "link", "hardlink"],
)
def test_what_leaves_the_folder_is_refused(
    tmp_path: Path, change: Callable[[tarfile.TarInfo], None]
) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", change)
    with pytest.raises(ArchiveError):
        unpack_isolated(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_chain_of_links_leads_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, goal in (("up", "deep/up/.."), ("deep/up", "..")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, goal
            tar.addfile(info)
        info = tarfile.TarInfo("up/written")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"hi"))
    with pytest.raises(ArchiveError, match="leads out"):
        unpack_isolated(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "written").exists()


def test_a_whole_folder_is_unpacked_by_the_child(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "run").write_text("hi")
    (tmp_path / "in" / "run").chmod(0o755)
    (tmp_path / "in" / "link").symlink_to("run")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "in", arcname=".")
    tmp_path.chmod(0o700)  # as the node's own folders are: nobody cannot pass
    unpack_isolated(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "link").read_text() == "hi"
    assert (tmp_path / "out" / "run").stat().st_mode & 0o111


def test_zip_with_dots_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../file", "hi")
    with pytest.raises(ArchiveError, match="leads out"):
        unpack_isolated(tmp_path / "a.zip", tmp_path / "out")


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    for start in (b"\x1f\x8b", b"PK\x03\x04", b"BZh9", b""):
        with pytest.raises(ArchiveError):
            unpack(io.BytesIO(start + content), tmp_path_factory.mktemp("fuzz"))
