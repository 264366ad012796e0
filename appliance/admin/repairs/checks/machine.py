"""What else the node's own checks, its services' and plug-ins' say."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from appliance import supervision
from appliance.admin.checks import all_checks, libvirt
from appliance.admin.programs import units
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings, settings
from appliance.operations import Run
from appliance.service import Check, Verdict

ELSEWHERE = ("cpu", "memory", "disk", "kvm", "ports", "clock")
"""Those that have a check of their own here, or are for set-up alone."""
WAIT_S = 30


def find(config: Settings) -> Iterator[Issue]:
    for check in all_checks():
        if check.name in ELSEWHERE:
            continue
        verdict = check.run(config)
        if not verdict.ok or (verdict.warning and not verdict.pending):
            yield told(check, verdict)


def told(check: Check, verdict: Verdict) -> Issue:
    return Issue(
        "warning" if verdict.ok else "critical",
        f"{check.title} is not as it should be",
        f"{verdict.text}.",
        verdict.cure,
        subject=check.name,
        fix=Fix("Start libvirtd") if check.name == "libvirt" else None,
    )


def mend(run: Run, subject: str) -> None:
    """Start libvirtd, and wait until it answers."""
    keeper = supervision.current(settings(), units(settings()))
    keeper.start("libvirtd")
    pause = threading.Event()
    for second in range(WAIT_S):
        if libvirt(settings()).ok:
            return
        run.check()
        run.progress(second / WAIT_S, "libvirtd starts")
        pause.wait(1)


REPAIR = Repair("machine", "The machine", find, mend)
