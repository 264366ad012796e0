"""The appliance's image: its size, how long a start takes, and its memory after one.

FORMATION_TEST_IMAGE names what `image/build` made. Prints one JSON line for each
figure; no peer runs here: the goals are absolute, for emulation on two cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.web import figure
from tests.disk.machine import IMAGE, Appliance


def main() -> None:
    packed = next(IMAGE.glob("*.img.zst")).stat().st_size / 1e6
    figure("image.size", packed, "MB", None, "500", packed < 500)
    with tempfile.TemporaryDirectory(prefix="formation-bench-", dir="/var/tmp") as name:
        appliance = Appliance(Path(name))
        for which in ("first", "next"):
            began = time.monotonic()
            appliance.start()
            appliance.page("/")
            took = time.monotonic() - began
            figure(f"image.{which}_start", took, "s", None, "60", took < 60)
            used = int(appliance.told()["memory"]) / 1024
            appliance.kill()
    figure("image.memory", used, "MiB", None, "450", used < 450)


if __name__ == "__main__":
    main()
