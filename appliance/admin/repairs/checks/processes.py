"""Do the node's processes and engines run?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import supervision
from appliance.admin import processes
from appliance.admin.programs import programs, units
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.repairs.mending import follow
from appliance.config import Settings
from appliance.operations import Run


def find(settings: Settings) -> Iterator[Issue]:
    kept = supervision.current(settings, units(settings)).kept()
    failed = {one.name: one for one in kept if one.state == "failed"}
    for program in programs(settings):
        if program.name in failed:
            said = failed[program.name].said
            yield Issue(
                "critical",
                f"formation-{program.name} has failed",
                f"{program.title} does not run ({said or 'its keeper says no more'}). "
                f"{program.without}",
                f"Its log says why: form logs {program.name}",
                subject=program.name,
                fix=Fix("Start it"),
                link=f"/admin/logs?process={program.name}",
                state="failed",
            )


def mend(run: Run, subject: str) -> None:
    follow(run, lambda: processes.request(subject, "start", run.account))


REPAIR = Repair("processes", "Processes and engines", find, mend)
