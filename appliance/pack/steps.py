"""INSTALL, COPY and RUN as the commands that fill a layer, and what is said when
one of them fails."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from appliance.pack.formfile import Copy, Install, Step
from appliance.pack.identity import is_formfile
from appliance.pack.limits import BuildError
from appliance.pack.sandbox import Stage, Watch
from appliance.problems import DiskFull

_COPY_DIR = 'mkdir -p "$1"; tar -x --no-same-owner -C "$1" --strip-components=1'
# by way of a folder beside the target, so that nothing crosses file systems
_COPY_FILE = """
case "$1" in */) mkdir -p "$1" ;; *) mkdir -p "$(dirname "$1")" ;; esac
to=$1
if [ -d "$1" ]; then to=${1%/}/$2; fi
by=$(dirname "$to")/.formation-copy
mkdir "$by"
tar -x --no-same-owner -C "$by"
mv -T "$by/$2" "$to"
rmdir "$by"
"""
_APT = ("apt-get", "-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0")
_UNKNOWN = re.compile(
    r"E: (?:Unable to locate package (?P<a>\S+)"
    r"|Package '(?P<b>[^']+)' has no installation candidate"
    r"|Couldn't find any package by (?:glob|regex) '(?P<c>[^']+)')"
)


def describe(step: Step) -> str:
    """The step as the Formfile has it."""
    if isinstance(step, Install):
        return f"INSTALL {' '.join(step.packages)}"
    if isinstance(step, Copy):
        return f"COPY {step.source} {step.target}"
    return f"RUN {step.command}"


def stages(step: Step, context: Path | None, folder: Path) -> tuple[Stage, ...]:
    """What fills the step's layer; `folder` takes what it needs besides."""
    if isinstance(step, Install):
        return _install(step)
    if not isinstance(step, Copy):
        return (Stage(("/bin/sh", "-c", step.command)),)
    if context is None:
        raise BuildError("COPY needs a context folder; upload it with the Formfile")
    archive = folder / "copy.tar"
    name, is_folder = pack_source(context, step, archive)
    script = _COPY_DIR if is_folder else _COPY_FILE
    argv = ("/bin/sh", "-ec", script, "copy", step.target, name)
    return (Stage(argv, True, str(archive)),)


def _install(step: Install) -> tuple[Stage, ...]:
    install = (*_APT, "install", "--no-install-recommends", "--", *step.packages)
    clean = "apt-get clean; rm -rf /var/lib/apt/lists/*"
    return (
        Stage((*_APT, "update")),
        Stage(install),
        Stage(("/bin/sh", "-c", clean)),
    )


def pack_source(context: Path, step: Copy, archive: Path) -> tuple[str, bool]:
    """Tar what a COPY reads, as root's; says its name and whether it is a folder.

    Modes are 755 and 644, so that the same `build_id` is the same image."""
    root = context.resolve()
    source = (root / step.source).resolve()
    if not source.exists() or not source.is_relative_to(root):
        raise BuildError(f"{step.source} is not inside the context folder")
    name = Path(step.source).name or "context"

    def own(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (info.isreg() or info.isdir() or info.issym()):
            return None
        path = source / info.name.removeprefix(name).lstrip("/")
        if is_formfile(root, path):
            return None
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        if not info.issym():
            info.mode = 0o755 if info.isdir() or info.mode & 0o111 else 0o644
        return info

    with tarfile.open(archive, "w") as tar:
        tar.add(source, arcname=name, filter=own)
    archive.chmod(0o644)
    return name, source.is_dir()


@contextmanager
def explain(step: Step, watch: Watch) -> Iterator[Watch]:
    """A failure inside names the step, its line and, where apt knows, the package."""
    unknown: list[str] = []

    def log(line: str) -> None:
        if match := _UNKNOWN.search(line):
            unknown.append(match["a"] or match["b"] or match["c"])
        watch.log(line)

    try:
        yield replace(watch, log=log)
    except (BuildError, DiskFull) as error:
        at = f"line {step.line}: " if step.line else ""
        if isinstance(step, Install) and unknown:
            names = ", ".join(dict.fromkeys(unknown))
            raise BuildError(
                f"{at}INSTALL {names}: Debian has no such package; look for the name "
                "at packages.debian.org"
            ) from None
        kind = DiskFull if isinstance(error, DiskFull) else BuildError
        raise kind(f"{at}{describe(step)[:200]}: {error.detail}") from None
