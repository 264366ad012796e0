"""A control group for each step of a build: memory, processes, CPU share.

Version 2 where its controllers are there, else the old hierarchies; where neither
can be written the step has rlimits only. A group is named by the process that made
it, so that `sweep` finds those of dead builders.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from appliance.cgroups import CONTROLLERS, ROOT, parents
from appliance.pack.limits import BuildLimits

NAME = "formation-build"
CPU_WEIGHT, CPU_SHARES = "50", "512"  # half of what others get when it is tight


@dataclass(frozen=True)
class Group:
    """`folders` maps a controller to its folder; one for all in version 2."""

    folders: dict[str, Path]

    @property
    def controls(self) -> frozenset[str]:
        return frozenset(self.folders)

    def verdict(self, limits: BuildLimits, failed: bool) -> str:
        """What it ran into, or nothing; read it before `remove`. Processes that
        could not be started matter only where the step failed."""
        if "memory" in self.folders:
            folder = self.folders["memory"]
            events = _counts(folder / "memory.events") | _counts(
                folder / "memory.oom_control"
            )
            if events.get("oom_kill"):
                return f"used more than {limits.memory_mib} MiB of memory and was ended"
        pids = self.folders.get("pids")
        if failed and pids is not None and _counts(pids / "pids.events").get("max"):
            return f"started more than {limits.processes} processes"
        return ""

    def remove(self) -> None:
        """End what is left in it, and take it away."""
        for folder in set(self.folders.values()):
            _end(folder)


def make(name: str, pid: int, limits: BuildLimits) -> Group:
    """A group with `pid` in it; without folders where none can be made."""
    values = {
        "memory.max": str(limits.memory_mib << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "memory.limit_in_bytes": str(limits.memory_mib << 20),
        "memory.memsw.limit_in_bytes": str(limits.memory_mib << 20),
        "pids.max": str(limits.processes),
        "cpu.weight": CPU_WEIGHT,
        "cpu.shares": CPU_SHARES,
    }
    folders: dict[str, Path] = {}
    for controller, parent in parents(NAME).items():
        folder = parent / f"{os.getpid()}-{name}"
        try:
            folder.mkdir(exist_ok=True)
            for file, value in values.items():
                if file.startswith(controller) and (folder / file).exists():
                    (folder / file).write_text(value)
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            _end(folder)
            continue
        folders[controller] = folder
    return Group(folders)


def sweep() -> None:
    """Remove the groups of builders that are dead."""
    for parent in (ROOT / NAME, *(ROOT / name / NAME for name in CONTROLLERS)):
        for folder in parent.glob("*-*"):
            if not Path("/proc", folder.name.split("-")[0]).exists():
                _end(folder)
        with contextlib.suppress(OSError):
            parent.rmdir()  # unless a build runs


def _end(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _counts(file: Path) -> dict[str, int]:
    """The `name number` lines of a file; empty where there is none."""
    try:
        pairs = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
