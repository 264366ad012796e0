"""What is uploaded becomes one plain tar; its Formfile is apart; nothing is left
of what is refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.pack import ArchiveError, Upload, of_archive, of_files, of_folder
from appliance.pack.upload import root_of

FILES = {"Formfile": b"NAME a\n", "agent.py": b"#!/bin/python3\n", "deep/x": b"x"}


def archive(kind: str, files: Mapping[str, bytes], folder: Path) -> Path:
    path = folder / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as made:
            for name, content in files.items():
                made.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def take(path: Path, target: Path) -> Upload:
    with path.open("rb") as file:
        return of_archive(file, target)


def names(path: Path) -> dict[str, bool]:
    with tarfile.open(path) as tar:
        return {m.name: bool(m.mode & 0o111) for m in tar if m.isreg()}


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip"])
@pytest.mark.parametrize("top", ["", "./", "echo/"])
def test_an_archive_is_taken_from_its_formfile_on(
    kind: str, top: str, tmp_path: Path
) -> None:
    files = {f"{top}{name}": content for name, content in FILES.items()}
    found = take(archive(kind, files, tmp_path), tmp_path / "kept")
    assert found.formfile == b"NAME a\n"
    assert found.names == {"agent.py", "deep/x"}
    assert set(names(tmp_path / "kept")) == {"agent.py", "deep/x"}


def test_a_folder_file_by_file(tmp_path: Path) -> None:
    files = [(f"echo/{name}", io.BytesIO(content)) for name, content in FILES.items()]
    found = of_files(files, tmp_path / "kept")
    assert found.formfile == b"NAME a\n"
    assert names(tmp_path / "kept") == {"agent.py": True, "deep/x": False}


def test_a_folder_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("Formfile", "agent.py"):
        (tmp_path / "in" / name).write_bytes(FILES[name])
    found = of_folder(tmp_path / "in", tmp_path / "kept")
    assert (found.formfile, found.names) == (b"NAME a\n", {"agent.py"})


@pytest.mark.parametrize(
    ("known", "root"),
    [
        (["Formfile", "a/Formfile"], ""),
        (["a/Formfile", "a/b"], "a/"),
        (["a/Formfile", "b/x", "y"], "a/"),
        (["a/Formfile", "b/Formfile"], ""),
        (["a", "a/x", "a/y"], "a/"),
        (["a/x", "y"], ""),
        ([], ""),
    ],
)
def test_where_the_formfile_stands(known: list[str], root: str) -> None:
    assert root_of(known) == root


def test_what_a_mac_adds_is_left_out(tmp_path: Path) -> None:
    files = {
        "echo/Formfile": b"NAME a",
        "__MACOSX/echo/._x": b"",
        "echo/.DS_Store": b"",
    }
    found = take(archive("zip", files, tmp_path), tmp_path / "kept")
    assert (found.formfile, found.names) == (b"NAME a", frozenset())


def test_dotfiles_go_along(tmp_path: Path) -> None:
    files = {"Formfile": b"", ".env": b"A=b", ".git/HEAD": b"x"}
    found = take(archive("tar", files, tmp_path), tmp_path / "kept")
    assert found.names == {".env", ".git/HEAD"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "Not a readable"),
        (b"hello, this is no archive", "Not a readable"),
        (b"\x1f\x8b\x08 cut off", "Not a readable"),
        (b"PK\x03\x04 cut off", "Not a readable"),
    ],
)
def test_what_is_no_archive_is_refused_and_leaves_nothing(
    content: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveError, match=sentence):
        take(tmp_path / "a", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_what_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="leads out"):
        take(archive("tar.gz", {name: b""}, tmp_path), tmp_path / "kept")
    with pytest.raises(ArchiveError, match="leads out"):
        of_files([(name, io.BytesIO())], tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    info = tarfile.TarInfo("zeros")
    info.size = 5 << 30
    (tmp_path / "a.tar").write_bytes(info.tobuf())  # its header says what comes
    with pytest.raises(ArchiveError, match="More than 4 GiB"):
        take(tmp_path / "a.tar", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@given(st.binary(max_size=600))
def test_any_bytes_are_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    from appliance.pack.upload import repack

    for start in (b"\x1f\x8b\x08\0", b"PK\x03\x04", b"BZh9", b"\xfd7zXZ\0"):
        with pytest.raises(ArchiveError):
            repack(io.BytesIO(start + content), io.BytesIO())


def test_what_a_copy_finds() -> None:
    found = Upload(None, frozenset({"a", "deep/x"}), frozenset({"link"}))
    assert all(map(found.holds, (".", "./a", "deep", "deep/", "deep/x", "link/y")))
    assert not any(map(found.holds, ("b", "dee", "deep/y", "a/b")))
    assert not Upload(None).holds(".")
