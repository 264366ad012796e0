"""Layers find a place on any disk, and on a container's root too."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from appliance.pack import place

INSIDE = """
import subprocess, sys
from pathlib import Path
from appliance.pack import place
top = Path(sys.argv[1])
for name in ("lower", "upper", "work", "merged"):
    (top / name).mkdir()
data = f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work"
subprocess.run(["mount", "-t", "overlay", "none", "-o", data, str(top / "merged")],
               check=True)
layers = top / "merged" / "layers"
layers.mkdir()
assert place.file_system(layers) == place.OVERLAY
assert place.settle(layers) and place.settle(layers)
assert place.file_system(layers) == place.MEMORY
(layers / "kept").touch()
place.vacate(layers)
assert place.file_system(layers) == place.OVERLAY and not list(layers.iterdir())
"""


def test_what_can_hold_layers_is_used_as_it_is(tmp_path: Path) -> None:
    disk = Path("/dev/shm") / tmp_path.name  # memory already, in a room of overlays
    disk.mkdir()
    try:
        assert place.settle(disk)
        assert not disk.is_mount()
    finally:
        disk.rmdir()


def test_on_an_overlay_they_are_kept_in_memory_until_the_end() -> None:
    made = textwrap.dedent(
        """
        set -e
        mount -t tmpfs none /mnt
        exec "$0" -c "$1" /mnt
        """
    )
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", made]
    subprocess.run([*command, sys.executable, INSIDE], check=True)
