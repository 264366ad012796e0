"""Holds a process to its limits, where no systemd does: control groups for memory, CPU
and tasks, a resource limit for files (prlimit(2)).

A process keeps its group over its restarts, since it is put there before it begins.
"""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import psutil

from appliance import cgroups
from appliance.provisions import Limits

GROUP = "formation-processes"
PERIOD_US = 100_000
CONTROLLER = {"cpu_percent": "cpu", "memory_mib": "memory", "tasks": "pids"}


def held() -> tuple[str, ...]:
    """The limits that this machine's kernel can hold a process to."""
    found = cgroups.controllers()
    return ("files", *(name for name, of in CONTROLLER.items() if of in found))


def hold(name: str, pid: int, limits: Limits) -> frozenset[str]:
    """Hold the process `name` and its children to its limits from now on; returns those
    that can only begin with its next start."""
    family = together(pid)
    if replace(limits, files=0) != Limits() or _exists(name):
        for parent in set(cgroups.parents(GROUP).values()):
            _fill(parent / name, family, limits)
    return hold_files(family, limits.files)


def together(pid: int) -> list[int]:
    """The process and those of its children that share its control groups: others, as
    guests and builds, have limits of their own."""
    try:
        root = psutil.Process(pid)
        family = [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.Error:
        return []
    return [member for member in family if groups(member) == groups(pid)]


def groups(pid: int) -> str:
    """What cgroups(7) it is in, as the kernel says; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def hold_files(family: list[int], files: int) -> frozenset[str]:
    """As `hold` for open files alone: without a limit, that of what started each."""
    done = [_hold_files(member, files) for member in family]
    return frozenset() if all(done) else frozenset({"files"})


def _hold_files(pid: int, files: int) -> bool:
    """Whether it could be done: it takes CAP_SYS_RESOURCE for what runs already."""
    try:
        kind, parent = resource.RLIMIT_NOFILE, psutil.Process(pid).ppid()
        have, (soft, hard) = (resource.prlimit(p, kind) for p in (pid, parent))
        free = min(max(have[0], soft), hard), hard  # some raise the soft one themselves
        wanted = (files, files) if files else free
        if wanted != have:
            resource.prlimit(pid, kind, wanted)
    except PermissionError:
        return False
    except (psutil.Error, ProcessLookupError):
        return True  # it has ended
    return True


def _exists(name: str) -> bool:
    places = (cgroups.ROOT / GROUP / name, cgroups.ROOT / "memory" / GROUP / name)
    return any(place.exists() for place in places)


def _fill(folder: Path, family: list[int], limits: Limits) -> None:
    folder.mkdir(exist_ok=True)
    for file, value in values(limits).items():
        if (folder / file).exists():
            (folder / file).write_text(value)
    for member in family:
        try:
            (folder / "cgroup.procs").write_text(str(member))
        except ProcessLookupError:
            continue


def values(limits: Limits) -> dict[str, str]:
    """What is written into the files of a group, of both versions."""
    size, quota = limits.memory_mib << 20, limits.cpu_percent * PERIOD_US // 100
    return {
        "memory.max": str(size or "max"),
        "memory.limit_in_bytes": str(size or -1),
        "cpu.max": f"{quota or 'max'} {PERIOD_US}",
        "cpu.cfs_quota_us": str(quota or -1),
        "pids.max": str(limits.tasks or "max"),
    }
