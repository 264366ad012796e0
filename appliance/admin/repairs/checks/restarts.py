"""Do settings wait for a restart?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import reloading
from appliance.admin import processes
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.repairs.mending import follow
from appliance.admin.settings_change import pending, title
from appliance.config import Settings
from appliance.operations import Run


def find(settings: Settings) -> Iterator[Issue]:
    for process, names in pending().items():
        is_node = process == reloading.NODE
        yield Issue(
            "info",
            f"Settings wait for a restart of {title(process)}",
            f"{', '.join(names)} was changed, and counts once {title(process)} is "
            "restarted.",
            "Start the node anew when it suits you; its machines may be shut down then."
            if is_node
            else f"form processes restart {process}",
            subject=process,
            fix=None if is_node else Fix("Restart it"),
            link="/admin/settings",
        )


def mend(run: Run, subject: str) -> None:
    follow(run, lambda: processes.request(subject, "restart", run.account))


REPAIR = Repair("restarts", "Settings that wait", find, mend)
