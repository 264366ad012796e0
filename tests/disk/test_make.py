"""What the disk is made from, and what is said where it cannot be made."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import namedtuple
from hashlib import sha256
from pathlib import Path

import pytest

from image.disk import make, tools
from image.guest.build import BuildError

Usage = namedtuple("Usage", "total used free")


def test_too_little_space_is_said_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(0, 0, 3 * 10**9))
    with pytest.raises(BuildError, match=r"3 GB free, and 12 GB.*--cache"):
        make.build(tmp_path / "out", tmp_path / "cache", print)
    assert not list(tmp_path.rglob("*.*"))


def test_only_root_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="sudo image/build"):
        make.must_be_possible(tmp_path / "cache", tmp_path / "out")


def test_mkosi_gets_the_definitions_and_what_is_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "deb [signed-by=x] http://mirror.example/debian trixie main"
    monkeypatch.setattr(tools, "machine_sources", lambda suite: [line])
    base = tmp_path / "base/debian-13"
    base.mkdir(parents=True)
    (base / "vmlinuz").touch()
    make.prepare(tmp_path)
    work = tmp_path / "work"
    sources = work / "mkosi.sandbox/etc/apt/sources.list.d/formation.list"
    assert sources.read_text() == f"{line} non-free-firmware\n"
    about = work / "mkosi.extra/usr/lib/formation/appliance.json"
    assert json.loads(about.read_text())["version"] == make.version()
    assert (work / "mkosi.extra" / make.BASE / "vmlinuz").exists()
    assert (work / "mkosi.finalize").stat().st_mode & 0o111
    assert not list(work.glob("*.py"))


def test_what_is_made_is_listed_with_its_digests(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    made.mkdir()
    out.mkdir()
    (made / "a.img.zst").write_bytes(b"disk")
    listed = {"packages": [{"name": "systemd", "version": "257"}]}
    file = out / f"formation_{make.version()}.manifest"
    file.write_text(json.dumps(listed))
    make.describe(made, out)
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["files"] == {"a.img.zst": 4}
    assert manifest["packages"] == {"systemd": "257"}
    assert sha256(b"disk").hexdigest() in (made / "SHA256SUMS").read_text()
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=made, check=False)
    assert checked.returncode == 0


def test_a_tool_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "LENT", ())
    monkeypatch.setattr(tools, "ENTER", 'shift 3; exec "$@"')
    with pytest.raises(BuildError, match=r"sh ended with 3 .*build.log\):\nno luck"):
        tools.run(tmp_path, tmp_path, "sh", "-c", "echo no luck; exit 3")
