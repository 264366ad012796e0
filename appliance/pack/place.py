"""Where layers lie, in containers too: overlayfs cannot stand on overlayfs.

Layers are a cache, so where the data directory is itself an overlay (a container's
root) they are kept in memory, and made again after a restart.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from appliance.config import Settings
from appliance.pack.limits import BuildError

OVERLAY, MEMORY = "overlayfs", "tmpfs"


def file_system(folder: Path) -> str:
    """Its kind, as stat(1) names it."""
    done = subprocess.run(
        ["stat", "-f", "-c", "%T", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def layers(settings: Settings) -> Path:
    return settings.data_dir / "pack" / "layers"


def settle_for_all(settings: Settings) -> None:
    """The same by systemd, before processes have views of files of their own."""
    folder = layers(settings)
    folder.mkdir(exist_ok=True)
    if file_system(folder) == OVERLAY:
        command = ["systemd-mount", "--collect", "--type=tmpfs", "--options=mode=711"]
        subprocess.run([*command, "formation-layers", str(folder)], check=True)


def settle(folder: Path) -> bool:
    """Make `folder` fit for layers; whether it is in memory now. Raises BuildError."""
    kind = file_system(folder)
    if kind != OVERLAY:
        return kind == MEMORY
    command = ["mount", "-t", "tmpfs", "-o", "mode=711", "formation-layers"]
    done = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(
            f"{folder} lies on overlayfs, which cannot hold build layers, and no "
            f"memory can be mounted there ({done.stderr.strip()}): mount a disk or a "
            "volume at the data directory"
        )
    return True


def vacate(folder: Path) -> None:
    """Give the memory back, unless a build is at work."""
    if file_system(folder) == MEMORY:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)
