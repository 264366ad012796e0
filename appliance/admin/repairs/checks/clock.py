"""Is the clock right, and does somebody keep it so?"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from appliance import clock, events
from appliance.admin.alerts.signals import UNSYNCHRONISED, kernel_clock
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings
from appliance.operations import Run
from appliance.problems import Problem
from appliance.supervision import SYSTEMD

BEHIND_S = 120.0
OLDEST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
WAIT_S = 60


def find(settings: Settings) -> Iterator[Issue]:
    newest = max([OLDEST, *(event.time for event in events.lately(1))])
    if clock.now() < newest - BEHIND_S:
        yield behind(newest)
    if kernel_clock() == UNSYNCHRONISED:
        yield adrift()


def behind(newest: float) -> Issue:
    return Issue(
        "critical",
        "The clock is wrong",
        f"It says {clock.rfc3339(clock.now())}, and something happened here at "
        f"{clock.rfc3339(newest)} already. Records would be stamped too early, and "
        "codes of authenticators fail.",
        "Set the clock: timedatectl set-time, or start a time service.",
        subject="behind",
        fix=switch(),
        state="behind",
    )


def adrift() -> Issue:
    return Issue(
        "warning",
        "Nobody keeps the clock",
        "No time service sets it, so it drifts. In a container the machine below has "
        "to keep it.",
        "Install and start chrony or systemd-timesyncd.",
        fix=switch(),
        state="adrift",
    )


def switch() -> Fix | None:
    can = SYSTEMD.exists() and shutil.which("timedatectl")
    return Fix("Switch time synchronisation on") if can else None


def mend(run: Run, subject: str) -> None:
    """Switch it on, and wait until it has set the clock."""
    done = subprocess.run(
        ["timedatectl", "set-ntp", "true"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem("clock-unset", f"timedatectl: {done.stderr.strip()[:300]}")
    pause = threading.Event()
    for second in range(WAIT_S):
        if kernel_clock() != UNSYNCHRONISED:
            return
        run.check()
        run.progress(second / WAIT_S, "waiting for a time server")
        pause.wait(1)


REPAIR = Repair("clock", "Clock", find, mend)
