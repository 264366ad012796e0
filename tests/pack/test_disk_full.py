"""Builds on a disk that is too small: a sentence, nothing left, and they go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance import pack
from appliance.problems import Problem
from tests.pack.conftest import Bench, whole

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.vm


def on_small_disk(folder: Path, mib: int, *texts: str) -> list[dict[str, Any]]:
    """Build each Formfile on a disk of this size, which only the child sees; what
    came of it, and what was left of it."""
    mount = f"mount -t tmpfs -o mode=711,size={mib}m none {folder} && exec "
    code = "from tests.pack.test_disk_full import child; child()"
    script = mount + '"$@"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-ec", script, "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", code, str(folder), *texts],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def child() -> None:
    folder, *texts = sys.argv[1:]
    limits = pack.BuildLimits(seconds=240, keep_free_mib=2)
    bench = Bench(Path(folder), limits)
    bench.images.mkdir(parents=True)
    for text in texts:
        said = ""
        try:
            bench.build(text)
        except Problem as problem:
            said = f"{problem.name}: {problem.detail}"
        left = [p.name for p in bench.layers.glob("*") if not whole(p)]
        count = len(list(bench.images.iterdir()))
        print(json.dumps({"said": said, "left": left, "images": count}))


@pytest.fixture
def folder(bench: Bench) -> Path:
    made = bench.folder / "small"
    made.mkdir(exist_ok=True)
    return made


def test_a_disk_that_fills_during_a_build_is_said_and_the_next_build_goes_on(
    folder: Path,
) -> None:
    fill = "RUN head -c 2G /dev/zero > /big"
    full, after = on_small_disk(folder, 700, fill, "RUN echo small > /small")
    assert full["said"].startswith("disk-full: line 2: RUN head -c 2G")
    assert "form pack collect --all" in full["said"]
    assert (full["left"], full["images"]) == ([], 0)
    assert (after["said"], after["left"], after["images"]) == ("", [], 1)


def test_a_disk_that_fills_while_the_image_is_written_is_said(folder: Path) -> None:
    """The layers fit, file system and image beside them do not."""
    (full,) = on_small_disk(folder, 420, "RUN head -c 120m /dev/urandom > /big")
    assert full["said"].startswith("disk-full: ")
    assert (full["left"], full["images"]) == ([], 0)


def test_a_build_that_cannot_fit_does_not_begin(folder: Path) -> None:
    (refused,) = on_small_disk(folder, 100, "RUN true")
    assert "the build needs at least" in refused["said"]
    assert refused["said"].startswith("disk-full: ")
    assert (refused["left"], refused["images"]) == ([], 0)


def test_an_image_larger_than_its_disk_is_refused_with_the_size_to_ask_for(
    bench: Bench,
) -> None:
    refused = r"has 5\d\d\d MiB and DISK only 5120; raise DISK to 6 or install less"
    with pytest.raises(pack.BuildError, match=refused):
        # layers may lie in memory, which counts as the build's
        bench.build("DISK 5\nRUN fallocate -l 5200M /big", memory_mib=8192)
    assert [path for path in bench.layers.glob("*") if not whole(path)] == []
