"""Where a release is built: on this machine, or in a tree of another Debian.

A release fits one minor version of Python, so it is built by the Python of the Debian
that it is for. The tree is made once and kept in the cache; pip and apt find in it what
this machine's settings name, and none of those reaches what is built.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from image.guest.build import BuildError, machine_sources, mmdebstrap

SUITES = {"bookworm": "3.11", "trixie": "3.13"}
"""The minor version of Python of each."""
TOOLS = ("python3", "python3-venv", "python3-dev", "gcc", "pkg-config", "libvirt-dev")
CACHE = Path("/var/cache/formation-build")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SETTINGS = (
    Path("/etc/pip.conf"),
    Path("/etc/resolv.conf"),
    Path("/etc/hosts"),
    CERTIFICATES,
)
CARRIED = ("PIP_", "SSL_", "REQUESTS_CA", "CURL_CA", "http_proxy", "https_proxy")
SHOWN = "/run/formation-build"  # where folders of this machine are in the tree
ENTER = """
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mkdir -p ".$3"
mount --bind "$2" ".$3"
shift 3
exec chroot . "$@"
"""


@dataclass(frozen=True)
class Room:
    """`tree` is None where the commands run on this machine itself."""

    suite: str
    tree: Path | None = None

    @property
    def python(self) -> str:
        return SUITES[self.suite]

    def run(self, folder: Path, *command: str) -> str:
        """Run it at `folder`, which it may write; the words `{}` in it stand for that
        folder. Returns what it prints; raises BuildError with its last words."""
        if self.tree is None:
            argv, here = [], str(folder)
        else:
            argv, here = self._enter(folder), SHOWN
        argv += [word.replace("{}", here) for word in command]
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment(self.tree),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise BuildError(f"{command[0]} ended with {done.returncode}:\n{last}")
        return done.stdout

    def _enter(self, folder: Path) -> list[str]:
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        shell = ["sh", "-euc", ENTER, "sh"]
        return [*own, *shell, str(self.tree), str(folder), SHOWN]


def environment(tree: Path | None) -> dict[str, str]:
    """What names mirrors and certificates, where what it names is there."""
    found = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(CARRIED) and is_there(value, tree)
    }
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return {**found, "PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8"}


def is_there(value: str, tree: Path | None) -> bool:
    if not value.startswith("/"):
        return True
    return Path(f"{tree or ''}{value}").exists()


@contextmanager
def room(suite: str, cache: Path, log: Callable[[str], None]) -> Iterator[Room]:
    """This machine where it is that Debian and has the tools, else a tree."""
    if os.geteuid():
        raise BuildError("root is needed: sudo image/package/build …")
    own = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if own == suite and has_tools():
        yield Room(suite)
        return
    tree = cache / suite
    if not (tree / "formation-tools").exists():
        log(f"making a tree of Debian {suite} in {tree}")
        make_tree(suite, tree)
    with lent(tree):
        yield Room(suite, tree)


def has_tools() -> bool:
    command = ["dpkg-query", "-W", "-f", "${Status}\n", *TOOLS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() == ["install ok installed"] * len(TOOLS)


def make_tree(suite: str, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    wanted = f"--include={','.join((*TOOLS, 'ca-certificates'))}"
    mmdebstrap("--variant=minbase", wanted, suite, str(tree), *machine_sources(suite))
    (tree / "formation-tools").touch()


@contextmanager
def lent(tree: Path) -> Iterator[None]:
    """This machine's settings of pip, resolvers and certificates, for a while."""
    lent = []
    try:
        for file in SETTINGS:
            own = Path(f"{tree}{file}")
            own.parent.mkdir(parents=True, exist_ok=True)
            own.unlink(missing_ok=True)
            if file.exists():
                shutil.copyfile(file, own)
                lent.append(own)
        yield
    finally:
        for own in lent:
            own.unlink(missing_ok=True)
