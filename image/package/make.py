"""Makes the Debian package, and the release tree in it, from this checkout.

`image/package/build --suite trixie --output DIR` leaves `formation_VERSION_amd64.deb`
in DIR; `--tree DIR` leaves the bare release tree. Needs root, and nothing but Python's
own library, so that it runs on a Debian without an environment.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from image.guest.build import run_to_end, say
from image.package import deb, release
from image.package.room import CACHE, SUITES, room


def build(suite: str, output: Path | None, tree: Path | None, cache: Path) -> None:
    """Make what is asked for; raises BuildError."""
    os.umask(0o022)  # what is packed is for all to read
    with (
        tempfile.TemporaryDirectory(
            prefix="formation-package-", dir="/var/tmp"
        ) as name,
        room(suite, cache, say) as place,
    ):
        made = Path(name) / "release"
        release.make(place, made, say)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            say(f"{deb.make(made, suite, output)} is ready")
        if tree is not None:
            shutil.rmtree(tree, ignore_errors=True)
            tree.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(made, tree, symlinks=True)
            say(f"{tree} is ready")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the Debian package.")
    parser.add_argument("--suite", required=True, choices=sorted(SUITES))
    parser.add_argument("--output", type=Path, help="where the package goes")
    parser.add_argument("--tree", type=Path, help="where the bare release goes")
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args()
    if not (asked.output or asked.tree):
        parser.error("nothing is asked for: --output DIR, --tree DIR, or both")
    run_to_end(lambda: build(asked.suite, asked.output, asked.tree, asked.cache))


if __name__ == "__main__":
    main()
