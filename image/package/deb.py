"""The Debian package around a release: deb(5), by dpkg-deb."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
from email.utils import formatdate
from hashlib import file_digest
from importlib.metadata import Distribution, distributions
from pathlib import Path

from image.guest.build import BuildError, run
from image.package.room import SUITES

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DOCS = ("installing.md", "operations.md", "manual.md", "security.md", "settings.md")
FOR_BUILDING = {"python3", "python3-venv", "python3-dev", "gcc", "pkg-config"}
FOR_BUILDING |= {"libvirt-dev", "supervisor", "util-linux"}
"""Of what install.sh installs, what a package that is built and has units needs not, or
what is on each Debian."""
MAINTAINER = "Formation <formation@formation.internal>"
SUMMARY = "node of a federated cloud for AI agents"
DESCRIPTION = """\
 Turns this machine into a node: describe an agent in a Formfile, and the node
 builds a VM image from it, runs it under libvirt, names it in DNS and lets
 people call it through one task API. A setup wizard answers on port 8443.
"""


def make(release: Path, suite: str, output: Path) -> Path:
    """Pack the release; returns the package's file."""
    about = json.loads((release / "release.json").read_text())
    version = about["version"]
    file = output / f"formation_{version}_amd64.deb"
    with tempfile.TemporaryDirectory(prefix="formation-deb-", dir="/var/tmp") as name:
        tree = Path(name)
        tree.chmod(0o755)
        lay_out(tree, release)
        document(tree / "usr/share/doc/formation", release, version)
        control(tree, suite, version)
        packing = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build"]
        run([*packing, str(tree), str(file)])
    return file


def lay_out(tree: Path, release: Path) -> None:
    own = tree / "usr/lib/formation"
    own.mkdir(parents=True)
    shutil.copytree(release, own / "release", symlinks=True)
    place(HERE / "formation-run", own / "formation-run", 0o755)
    place(HERE / "form", tree / "usr/bin/form", 0o755)
    for file in sorted((ROOT / "systemd").glob("formation*")):
        if file.name.endswith("-generator"):
            place(file, tree / "usr/lib/systemd/system-generators" / file.name, 0o755)
        else:
            place(file, tree / "usr/lib/systemd/system" / file.name, 0o644)


def place(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def document(folder: Path, release: Path, version: str) -> None:
    folder.mkdir(parents=True)
    for name in DOCS:
        place(ROOT / "docs" / name, folder / name, 0o644)
    entry = f"formation ({version}) stable; urgency=medium\n\n"
    entry += (
        f"  * Release {version}; what is new: CHANGELOG.md, where there is one.\n\n"
    )
    entry += f" -- {MAINTAINER}  {formatdate(0)}\n"
    (folder / "changelog.gz").write_bytes(gzip.compress(entry.encode(), mtime=0))
    if (ROOT / "CHANGELOG.md").exists():
        place(ROOT / "CHANGELOG.md", folder / "CHANGELOG.md", 0o644)
    (folder / "copyright").write_text(copyright_of(release))
    (folder / "copyright").chmod(0o644)


def copyright_of(release: Path) -> str:
    """Ours, and that of each Python package in the release, by its own words."""
    packages = next(release.glob("lib/python*/site-packages"))
    lines = [(HERE / "debian/copyright").read_text()]
    found = distributions(path=[str(packages)])
    for item in sorted(found, key=lambda item: item.name.lower()):
        if item.name != "formation":
            lines.append(f"{item.name} {item.version}: {licence(item)}\n")
    return "".join(lines)


def licence(item: Distribution) -> str:
    about = item.metadata
    said = about.get("License-Expression") or about.get("License") or ""
    marked = [c for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    named = ", ".join(mark.rpartition(":: ")[2] for mark in marked)
    short = said if said and "\n" not in said.strip() else named
    return short.strip() or "see its folder in the release"


def control(tree: Path, suite: str, version: str) -> None:
    folder = tree / "DEBIAN"
    folder.mkdir()
    for name in ("postinst", "prerm", "postrm"):
        text = (HERE / "debian" / name).read_text()
        (folder / name).write_text(text.replace("@ENABLED@", " ".join(enabled())))
        (folder / name).chmod(0o755)
    files = [
        file for file in tree.rglob("*") if file.is_file() and not file.is_symlink()
    ]
    shipped = sorted(file for file in files if folder not in file.parents)
    sums = [f"{digest(file)}  {file.relative_to(tree)}\n" for file in shipped]
    (folder / "md5sums").write_text("".join(sums))
    size = sum(file.stat().st_size for file in shipped) >> 10
    (folder / "control").write_text(
        f"Package: formation\nVersion: {version}\nArchitecture: amd64\n"
        f"Maintainer: {MAINTAINER}\nInstalled-Size: {size}\n"
        f"Depends: {', '.join(depends(suite))}\nSuggests: supervisor\n"
        f"Section: admin\nPriority: optional\nDescription: {SUMMARY}\n{DESCRIPTION}"
    )


def enabled() -> list[str]:
    """The units that systemctl enable is for."""
    files = sorted((ROOT / "systemd").glob("formation*"))
    return [file.name for file in files if "\n[Install]\n" in file.read_text()]


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "md5").hexdigest()


def depends(suite: str) -> list[str]:
    """The engines, as install.sh has them, and the very Python of the release."""
    major, minor = SUITES[suite].split(".")
    python = [f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{int(minor) + 1})"]
    systemd = ["init-system-helpers (>= 1.54~)", "systemd (>= 252)", "dbus", "libvirt0"]
    return [*python, *sorted(engines()), *systemd, "libc6"]


def engines() -> set[str]:
    """Debian packages that a node needs at work."""
    text = (ROOT / "install.sh").read_text()
    found = re.search(r'^PACKAGES="([^"]+)"', text, re.MULTILINE)
    if found is None:
        raise BuildError("install.sh names no PACKAGES")
    return set(found[1].split()) - FOR_BUILDING
