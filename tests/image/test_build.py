"""The recipe's pure parts: mirrors from apt, the initial RAM disk's format."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image.guest import build, initramfs

TARGETS = """http://mirror.example/debian bookworm
http://mirror.example/debian bookworm-updates
http://other.example/tools stable
http://mirror.example/debian-security bookworm-security
"""


def test_sources_use_the_machines_mirrors() -> None:
    lines = build.sources(TARGETS, "trixie")
    assert [line.split("] ")[1] for line in lines] == [
        "http://mirror.example/debian trixie main",
        "http://mirror.example/debian trixie-updates main",
        "http://mirror.example/debian-security trixie-security main",
    ]


def test_without_a_debian_mirror_the_error_says_what_to_do() -> None:
    with pytest.raises(build.BuildError, match=r"add Debian's to /etc/apt"):
        build.sources("http://other.example/tools stable\n", "trixie")


def test_unknown_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError, match="there are trixie, bookworm"):
        build.build_base("jessie", tmp_path / "base", print)


def test_a_current_base_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "base"
    out.mkdir()
    for part in build.PARTS:
        (out / part).touch()
    manifest = {"recipe": build.recipe_digest("trixie")}
    (out / "manifest.json").write_text(json.dumps(manifest))
    said: list[str] = []
    build.build_base("trixie", out, said.append)
    assert said == [f"debian:13 is ready in {out}"]
    assert not build.is_current("bookworm", out)
    (out / "vmlinuz").unlink()
    assert not build.is_current("trixie", out)


def module(depends: str) -> bytes:
    return b"\x7fELF\0license=GPL\0depends=" + depends.encode() + b"\0"


def test_modules_load_after_what_they_need(tmp_path: Path) -> None:
    files = {"net": "net_failover", "net-failover": "failover", "failover": ""}
    for name, depends in files.items():
        (tmp_path / f"{name}.ko").write_bytes(module(depends))
    order = initramfs.load_order(initramfs.module_files(tmp_path), ["net", "builtin"])
    assert list(order) == ["failover", "net_failover", "net"]


NAMES = st.from_regex("[a-z]{1,9}", fullmatch=True)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=99), st.dictionaries(NAMES, st.binary()))
def test_initrd_is_a_cpio_archive(init: bytes, modules: dict[str, bytes]) -> None:
    archive = initramfs.archive(b"busybox", init, modules)
    listed = subprocess.run(
        ["cpio", "-t", "--quiet"], input=archive, capture_output=True
    )
    names = listed.stdout.decode().split()
    assert {"init", "bin/busybox", "modules/order", "root"} <= set(names)
    assert {f"modules/{name}.ko" for name in modules} <= set(names)
