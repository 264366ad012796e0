"""A real systemd for tests: they run inside of it, each in a pytest of its own.

Outside, what a test here does is to start pytest for itself in the machine.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from appliance.pack.place import OVERLAY, file_system
from image.guest.build import mmdebstrap
from image.package.deb import engines
from image.package.room import CACHE

INSIDE = "FORMATION_INSIDE"
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PACKAGES = sorted(
    engines() | {"systemd", "systemd-sysv", "dbus", "python3", "libvirt0"}
)
SUITE = platform.freedesktop_os_release()["VERSION_CODENAME"]
NAMESPACES = ("--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net")


class Machine:
    """A Debian whose PID 1 is systemd; `pid` is what this machine calls it."""

    def __init__(self, folder: Path, base: Path) -> None:
        self._group = Path(tempfile.mkdtemp(dir=folder))
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", self._group], check=True)
        self._number, self._places = 0, (str(base), str(folder), str(ROOT))
        self._start()

    def _start(self) -> None:
        """With a control group of its own: systemd makes its own below."""
        self._number += 1
        name = Path(self._places[1]).name
        own = self._group / f"{name}-{self._number}"
        own.mkdir()
        argv = ["unshare", *NAMESPACES, "--fork", "--kill-child"]
        script = ["sh", str(HERE / "machine.sh"), *self._places]
        enter = f'echo $$ > "{own}/cgroup.procs"; exec "$@"'
        self._process = subprocess.Popen(["sh", "-c", enter, "sh", *argv, *script])
        self.pid = self._first()
        self._await()

    def _first(self) -> int:
        pause = threading.Event()
        while not (children := psutil.Process(self._process.pid).children()):
            assert self._process.poll() is None, "the machine ended"
            pause.wait(0.02)
        return children[0].pid

    def _await(self) -> None:
        pause = threading.Event()
        while self.run("systemctl", "is-system-running").stdout.strip() not in (
            "running",
            "degraded",
        ):
            assert self._process.poll() is None, "the machine ended"
            pause.wait(0.1)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """The command inside, at the checkout."""
        enter = ["nsenter", "-t", str(self.pid), "-a", "-r", f"-W{ROOT}"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", INSIDE: "1"}
        return subprocess.run(
            [*enter, *argv],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    def _cut(self) -> None:
        os.kill(self.pid, signal.SIGKILL)  # unshare ignores what would end it
        self._process.wait(20)

    def restart(self) -> None:
        """As after a power cut."""
        self._cut()
        self._start()

    def close(self) -> None:
        self._cut()
        subprocess.run(["umount", "-l", self._group], check=True)


@pytest.fixture(scope="session")
def debian() -> Path:
    """A tree of this machine's Debian with all engines, kept for the next time."""
    recipe = sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]
    tree = CACHE / f"machine-{SUITE}-{recipe}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other worker wants it too
        if not tree.exists():
            draft = tree.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            wanted = f"--include={','.join(PACKAGES)}"
            mmdebstrap("--variant=minbase", wanted, SUITE, str(draft))
            draft.rename(tree)
    return tree


@contextmanager
def started(base: Path) -> Iterator[Machine]:
    """A machine of that tree, which itself stays as it is."""
    folder = Path(tempfile.mkdtemp(prefix="formation-systemd-", dir="/var/tmp"))
    folder.chmod(0o755)
    in_memory = file_system(folder) == OVERLAY  # no overlay changes one of another
    if in_memory:
        mount = ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(folder)]
        subprocess.run(mount, check=True)
    found = Machine(folder, base)
    try:
        yield found
    finally:
        found.close()
        if in_memory:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine | None]:
    """One for what needs systemd alone."""
    if INSIDE in os.environ:
        yield None
        return
    with started(request.getfixturevalue("debian")) as found:
        yield found


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    machine = pyfuncitem.funcargs.get("machine")
    if machine is None:
        return None
    options = ["-p", "no:cacheprovider", "--no-cov", "--no-header"]
    argv = [sys.executable, "-B", "-m", "pytest", *options, pyfuncitem.nodeid]
    done = machine.run(*argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return True
