"""Real processes are held to their limits, at once and after a start."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import bounds, cgroups
from appliance.provisions import Limits

NAME = f"test-{os.getpid()}"
GREEDY = """
import os, sys, threading
print("begun", flush=True)
sys.stdin.readline()
held, what = [], sys.argv[1]
try:
    for _ in range(400):
        if what == "files":
            held.append(os.open("/dev/null", os.O_RDONLY))
        else:
            thread = threading.Thread(target=threading.Event().wait, daemon=True)
            thread.start()
            held.append(thread)
except (OSError, RuntimeError):
    print("refused", len(held), flush=True)
    os._exit(0)
print("all", len(held), flush=True)
os._exit(0)
"""


@pytest.fixture
def group() -> Iterator[str]:
    yield NAME
    for parent in set(cgroups.parents(bounds.GROUP).values()):
        with contextlib.suppress(OSError):  # of a test that failed
            (parent / NAME).rmdir()


def greedy(what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", GREEDY, what]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert child.stdout
    assert child.stdout.readline() == "begun\n"
    return child


def end(child: subprocess.Popen[str]) -> tuple[str, int]:
    word, number = child.communicate("go\n", timeout=60)[0].split()
    return word, int(number)


def test_a_process_that_runs_opens_no_more_files(group: str) -> None:
    child = greedy("files")
    bounds.hold(group, child.pid, Limits(files=256))
    word, number = end(child)
    assert word == "refused"
    assert number < 256


def test_a_process_that_runs_starts_no_more_tasks(group: str) -> None:
    """Where the kernel cannot hold it to that, `held` does not say so."""
    child = greedy("tasks")
    bounds.hold(group, child.pid, Limits(tasks=64))
    word, number = end(child)
    assert (word == "refused") == ("tasks" in bounds.held())
    assert (number < 64) == ("tasks" in bounds.held())


def test_limits_of_what_runs_are_taken_away_or_said_to_go_later(group: str) -> None:
    for what in ("files", "tasks"):
        child = greedy(what)
        bounds.hold(group, child.pid, Limits(files=256, tasks=64, memory_mib=256))
        later = bounds.hold(group, child.pid, Limits())
        refused = what in later
        assert (end(child) == ("all", 400)) is not refused
        assert later <= {"files"}


def test_memory_and_cpu_are_written_where_the_kernel_reads_them(group: str) -> None:
    child = greedy("files")
    bounds.hold(group, child.pid, Limits(memory_mib=256, cpu_percent=150))
    folders = cgroups.parents(bounds.GROUP)
    found = {
        file: (folder / group / file).read_text().strip()
        for folder in folders.values()
        for file in bounds.values(Limits())
        if (folder / group / file).exists()
    }
    size = found.get("memory.max") or found.get("memory.limit_in_bytes", "0")
    assert (int(size) == 256 << 20) == ("memory_mib" in bounds.held())
    quota = found.get("cpu.max") or found.get("cpu.cfs_quota_us", "")
    assert quota.startswith("150000") == ("cpu_percent" in bounds.held())
    assert (group in bounds.groups(child.pid)) == bool(folders)
    end(child)


def test_what_has_groups_of_its_own_keeps_them(group: str) -> None:
    """A kernel without control groups tells nobody's from anybody's."""
    script = "sleep 600 & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        guest = int(parent.stdout.readline())
        folders = set(cgroups.parents(bounds.GROUP).values())
        own = [folder / f"{group}-guest" for folder in folders]
        for folder in own:
            folder.mkdir()
            (folder / "cgroup.procs").write_text(str(guest))
        try:
            others = [] if own else [guest]
            assert bounds.together(parent.pid) == [parent.pid, *others]
            bounds.hold(group, parent.pid, Limits(files=256))
            files = resource.prlimit(guest, resource.RLIMIT_NOFILE)
            assert (files != (256, 256)) == bool(own)
            assert (f"{group}-guest" in bounds.groups(guest)) == bool(own)
        finally:
            os.kill(guest, 9)
            parent.wait()
            pause = threading.Event()
            while Path(f"/proc/{guest}").exists():
                pause.wait(0.01)
            for folder in own:
                folder.rmdir()


def test_what_has_ended_is_nobody() -> None:
    assert bounds.together(2**22 - 1) == []
    assert bounds.hold_files([2**22 - 1], 256) == frozenset()
