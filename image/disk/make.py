"""Makes the appliance's disk image from this checkout.

`image/build --output DIR` leaves there `formation_VERSION.img.zst` to flash and
`formation_VERSION.qcow2` to try, the parts of a slot, `manifest.json` and `SHA256SUMS`,
all or nothing. Needs root, 12 GB, Debian's mirrors, and nothing but Python's own
library; docs/flashing.md says what is on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import tomllib
from hashlib import file_digest
from pathlib import Path

from image.disk import tools
from image.guest.build import BuildError, Log, build_base, run, run_to_end, say
from image.package.make import build as build_package

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = Path("/var/cache/formation-build/disk")
NEEDED_GB = 12
BASE = "var/lib/formation/base/debian-13"
NOT_COPIED = ("*.py", "__pycache__")


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def must_be_possible(cache: Path, output: Path) -> None:
    """Raise BuildError with what to do."""
    if os.geteuid():
        raise BuildError("root is needed: sudo image/build …")
    if shutil.which("mmdebstrap") is None:
        raise BuildError("mmdebstrap is not installed: apt-get install mmdebstrap")
    for folder in (cache, output):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < NEEDED_GB * 10**9:
            raise BuildError(
                f"{folder} has {free / 1e9:.0f} GB free, and {NEEDED_GB} GB are "
                "needed: make room, or name another folder by --cache and --output"
            )


def build(output: Path, cache: Path, log: Log) -> None:
    """Make everything; raises BuildError. `output` is changed at the end alone."""
    output, cache = output.absolute(), cache.absolute()
    must_be_possible(cache, output)
    (cache / "build.log").unlink(missing_ok=True)
    tree = tools.tree_in(cache, log)
    log("the guest base")
    build_base("trixie", cache / "base/debian-13", log)
    log("the package")
    shutil.rmtree(cache / "work", ignore_errors=True)
    prepare(cache)
    build_package("trixie", cache / "work/mkosi.packages", None, cache.parent)
    log(f"the disk, by mkosi: {cache / 'build.log'} has what it says")
    tools.run(cache, tree, *mkosi())
    with tempfile.TemporaryDirectory(prefix=".formation-", dir=output) as name:
        made = Path(name)
        pack(cache / "out", made, log)
        describe(made, cache / "out")
        for file in sorted(made.iterdir()):
            file.replace(output / file.name)
    shutil.rmtree(cache / "out")
    log(f"{output / f'formation_{version()}.img.zst'} is ready")


def prepare(cache: Path) -> None:
    """mkosi's folder: the definitions, and what is of this machine and version."""
    work = cache / "work"
    shutil.copytree(
        HERE, work, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED)
    )
    own = work / "mkosi.sandbox/etc/apt/sources.list.d"
    own.mkdir(parents=True)
    # This very name: mkosi would add mirrors of its own else.
    (own / "mkosi.sources").write_text("")
    (own / "formation.list").write_text(tools.sources())
    extra = work / "mkosi.extra"
    about = {"version": version(), "slots": "systemd-sysupdate"}
    file = extra / "usr/lib/formation/appliance.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(about) + "\n")
    shutil.copytree(cache / "base/debian-13", extra / BASE)
    for name in ("out", "workspace"):  # what a build that was killed left
        shutil.rmtree(cache / name, ignore_errors=True)
    for name in ("mkosi", "out", "packages", "workspace"):
        (cache / name).mkdir(exist_ok=True)


def mkosi() -> list[str]:
    shown = tools.SHOWN
    return [
        "mkosi",
        f"--directory={shown}/work",
        f"--image-version={version()}",
        f"--output-dir={shown}/out",
        f"--cache-dir={shown}/mkosi",
        f"--package-cache-dir={shown}/packages",
        f"--workspace-dir={shown}/workspace",
        "--incremental=yes",
        "--force",
        "build",
    ]


def pack(out: Path, made: Path, log: Log) -> None:
    """The disk for flashing and for a VM, and what a slot is made of."""
    name = f"formation_{version()}"
    log("packing")
    raw = out / f"{name}.raw"
    squeeze = ["zstd", "-q", "-T0", "-9", "--long=27"]
    run([*squeeze, str(raw), "-o", str(made / f"{name}.img.zst")])
    qcow = ["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd"]
    run([*qcow, str(raw), str(made / f"{name}.qcow2")])
    root = out / f"{name}.root.raw"
    run([*squeeze, str(root), "-o", str(made / f"{name}.root.raw.zst")])
    shutil.copyfile(out / f"{name}.efi", made / f"{name}.efi")


def describe(made: Path, out: Path) -> None:
    """`manifest.json` and, in the form of sha256sum(1), `SHA256SUMS`."""
    listed = json.loads((out / f"formation_{version()}.manifest").read_text())
    manifest = {
        "version": version(),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {file.name: file.stat().st_size for file in sorted(made.iterdir())},
        "packages": {item["name"]: item["version"] for item in listed["packages"]},
    }
    (made / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    lines = []
    for file in sorted(made.iterdir()):
        with file.open("rb") as content:
            lines.append(f"{file_digest(content, 'sha256').hexdigest()}  {file.name}")
    (made / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the appliance's disk image.")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args()
    run_to_end(lambda: build(asked.output, asked.cache, say))


if __name__ == "__main__":
    main()
