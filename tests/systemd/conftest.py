"""A real systemd for tests: they run inside of it, each in a pytest of its own.

Outside, what a test here does is to start pytest for itself in the machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from image.guest.build import mmdebstrap

INSIDE = "FORMATION_INSIDE"
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PACKAGES = "systemd,dbus,python3,libvirt0"
NAMESPACES = ("--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net")


class Machine:
    """A Debian whose PID 1 is systemd; `pid` is what this machine calls it."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
        mmdebstrap("--variant=minbase", f"--include={PACKAGES}", suite, str(self.tree))
        self._group = Path(tempfile.mkdtemp(dir=folder))
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", self._group], check=True)
        self._own = self._group / f"formation-{folder.name}"
        self._own.mkdir()
        argv = ["unshare", *NAMESPACES, "--fork", "--kill-child"]
        script = ["sh", str(HERE / "machine.sh"), str(self.tree), str(ROOT)]
        enter = f'echo $$ > "{self._own}/cgroup.procs"; exec "$@"'
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

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)  # unshare ignores what would end it
        self._process.wait(20)
        subprocess.run(["umount", "-l", self._group], check=True)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine | None]:
    if INSIDE in os.environ:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="formation-systemd-", dir="/var/tmp"))
    folder.chmod(0o755)
    found = Machine(folder)
    yield found
    found.close()
    shutil.rmtree(folder)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    machine = pyfuncitem.funcargs.get("machine")
    if machine is None:
        return None
    options = ["-p", "no:cacheprovider", "--no-cov", "--no-header"]
    argv = [sys.executable, "-B", "-m", "pytest", *options, pyfuncitem.nodeid]
    done = machine.run(*argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return True
