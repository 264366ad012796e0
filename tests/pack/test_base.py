"""A base that is missing is made by the build that needs it, once."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from appliance.pack import BuildError, base
from tests.pack.conftest import until

BUILDER = """
import fcntl, pathlib, signal, sys, time
out, how = pathlib.Path(sys.argv[1]), sys.argv[2]
def interrupt(*of): raise SystemExit("interrupted: nothing is kept")
signal.signal(signal.SIGTERM, interrupt)
with out.with_suffix(".lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if out.exists(): raise SystemExit
    print("fetching Debian", flush=True)
    if how == "hangs": time.sleep(1000)
    if how == "fails": raise SystemExit("mmdebstrap is not installed")
    out.mkdir()
    (out / "manifest.json").write_text("{}")
"""


def build_with(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def command(suite: str, folder: Path) -> list[str]:
        return [sys.executable, "-c", BUILDER, str(folder), how, suite]

    monkeypatch.setattr(base, "command", command)


def test_the_builder_is_the_one_of_form_pack_base(tmp_path: Path) -> None:
    line = " ".join(base.command("bookworm", tmp_path))
    assert line.endswith(f"image.guest.build --suite bookworm --out {tmp_path}")


def test_a_missing_base_is_made_once_though_two_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_with("works", monkeypatch)
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(base.ensure_base, "debian:12", tmp_path / "b", lines.append)
    assert (tmp_path / "b/manifest.json").exists()
    assert lines.count("fetching Debian") == 1
    assert any("debian:12 is not on this node yet" in line for line in lines)
    lines.clear()
    base.ensure_base("debian:12", tmp_path / "b", lines.append)
    assert lines == []


def test_a_base_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_with("fails", monkeypatch)
    with pytest.raises(BuildError, match="mmdebstrap is not installed; mend that"):
        base.ensure_base("debian:13", tmp_path / "b", lambda line: None)


def test_making_it_ends_when_it_is_canceled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_with("hangs", monkeypatch)
    asked, lines = threading.Event(), list[str]()
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(
            base.ensure_base, "debian:12", tmp_path / "b", lines.append, asked.is_set
        )
        until(lambda: "fetching Debian" in lines, 20, "the base is being made")
        asked.set()
        with pytest.raises(BuildError, match="canceled"):
            making.result(20)
    assert not (tmp_path / "b").exists()
    running = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    assert not any(str(tmp_path / "b") in line for line in running)
