"""The guest base that a Formfile's FROM names: made when a build first needs it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.pack.limits import BuildError

SUITES = {"debian:13": "trixie", "debian:12": "bookworm"}
CHECK_S = 0.2
END_S = 20.0
WORDS = 12


def ensure_base(
    name: str,
    folder: Path,
    log: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Make the base in `folder` unless it is there; raises BuildError.

    Its builder holds a lock and puts the whole base in place at its end: of two
    that want it the second waits, and one that is killed leaves nothing half.
    """
    if (folder / "manifest.json").exists():
        return
    log(f"the guest base {name} is not on this node yet: making it, once")
    child = subprocess.Popen(
        command(SUITES[name], folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last: list[str] = []
    with _ended_when(child, cancelled), child:
        for line in child.stdout or ():
            log(line.rstrip())
            last = [*last, line.strip()][-WORDS:]
    if cancelled():
        raise BuildError("was canceled")
    if child.returncode:
        said = " / ".join(last)[-600:] or f"status {child.returncode}"
        cure = (
            f"mend that and deploy again, or try: form pack base --suite {SUITES[name]}"
        )
        raise BuildError(f"the guest base {name} cannot be made: {said}; {cure}")


def command(suite: str, folder: Path) -> list[str]:
    build = [sys.executable, "-u", "-m", "image.guest.build"]
    return [*build, "--suite", suite, "--out", str(folder)]


@contextmanager
def _ended_when(
    child: subprocess.Popen[str], cancelled: Callable[[], bool]
) -> Iterator[None]:
    """End the child once somebody asks for it, or when the block is left early."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(CHECK_S):
            if cancelled():
                _end(child)
                break

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """It takes its own children along when it is asked to end."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
