"""Control groups of the kernel: where ours are, in version 2 or the old hierarchies.

https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpu")


def controllers() -> frozenset[str]:
    """Those of ours that this machine has."""
    whole = ROOT / "cgroup.controllers"
    try:
        if whole.exists():
            return frozenset(whole.read_text().split()) & set(CONTROLLERS)
    except OSError:
        return frozenset()
    return frozenset(name for name in CONTROLLERS if (ROOT / name / "tasks").exists())


def parents(name: str) -> dict[str, Path]:
    """A folder `name` for groups, made for each controller that can be had."""
    found, whole = controllers(), (ROOT / "cgroup.controllers").exists()
    folders = {one: ROOT / name if whole else ROOT / one / name for one in found}
    try:
        if whole:
            wanted = " ".join(f"+{one}" for one in sorted(found))
            (ROOT / "cgroup.subtree_control").write_text(wanted)
            (ROOT / name).mkdir(exist_ok=True)
            (ROOT / name / "cgroup.subtree_control").write_text(wanted)
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
    except OSError:
        return {}
    return folders
