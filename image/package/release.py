"""The release tree: Formation with all Python packages that it needs, relocatable.

No file of it names the folder where it lies: `bin/python` is a link to the Debian's,
and everything is started by `bin/python -m`. `release.json` says what it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from image.package.room import Room

ROOT = Path(__file__).parents[2]
PARTS = ("appliance", "blueprints", "jobs", "templates", "image", "examples", "systemd")
FILES = ("pyproject.toml", "README.md", "requirements.lock", "docs/runbooks")
UNWANTED = ("direct_url.json", "RECORD", "INSTALLER", "REQUESTED")
SCHEMA = "from appliance import schema; print(len(schema.NODE))"
VERSION = "from importlib.metadata import version; print(version('formation'))"


def make(room: Room, release: Path, log: Callable[[str], None]) -> None:
    """Make it in `release`, whose folder is the room's to work in."""
    work = release.parent
    copy_source(work / "source")
    log("installing the Python packages")
    packages = f"release/lib/python{room.python}/site-packages"
    room.run(work, "/usr/bin/python3", "-m", "venv", "{}/tools")
    pip = ("{}/tools/bin/python", "-m", "pip", "-q", "install", "--no-compile")
    pip += ("--no-deps", "--disable-pip-version-check", "--no-warn-script-location")
    lock = ("-r", "{}/source/requirements.lock", "{}/source")
    room.run(work, *pip, f"--target={{}}/{packages}", *lock)
    tidy(work / packages)
    (release / "bin").mkdir()
    (release / "bin/python").symlink_to("/usr/bin/python3")
    (release / "pyvenv.cfg").write_text(
        "home = /usr/bin\ninclude-system-site-packages = false\n"
        f"version = {room.python}\n"
    )
    log("compiling")
    python = "{}/release/bin/python"
    compiling = ("-I", "-m", "compileall", "-q", "-j2", "-s", "{}/release")
    room.run(
        work,
        python,
        *compiling,
        "--invalidation-mode=unchecked-hash",
        f"{{}}/{packages}",
    )
    version = room.run(work, python, "-I", "-c", VERSION).strip()
    schema = int(room.run(work, python, "-I", "-c", SCHEMA))
    (release / "release.json").write_text(
        json.dumps(describe(room, version, schema), indent=1) + "\n"
    )
    room.run(work, python, "-I", "-m", "appliance.launcher", "form", "--version")
    shutil.rmtree(work / "tools")
    shutil.rmtree(work / "source")


def copy_source(target: Path) -> None:
    """What the wheel is made of, without what tests and editors left."""
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")
    for name in PARTS:
        shutil.copytree(ROOT / name, target / name, ignore=left)
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=left)
        else:
            shutil.copyfile(ROOT / name, target / name)


def tidy(packages: Path) -> None:
    """Take out scripts, and what tells where and how it was installed."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in UNWANTED:
        for file in packages.glob(f"*.dist-info/{name}"):
            file.unlink()


def describe(room: Room, version: str, schema: int) -> dict[str, object]:
    """`schema` is how many migrations node.db of this release has had."""
    moment = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return {
        "version": version,
        "python": room.python,
        "arch": "amd64",
        "schema": schema,
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)),
        "commit": commit(),
    }


def commit() -> str:
    """Of the checkout; empty where it is none."""
    command = ["git", "-C", str(ROOT), "-c", "safe.directory=*", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if not done.returncode else ""
