"""Do the services run that should?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import clock
from appliance.admin import control
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.repairs.mending import follow
from appliance.config import Settings
from appliance.operations import Run
from appliance.service import Service, Status, chosen, read_status, services
from appliance.wishes import should_run, wishes

SETTLES_S = 120.0


def find(settings: Settings) -> Iterator[Issue]:
    if chosen(settings) is None:
        return
    asked = wishes(settings)
    for name, service in services().items():
        status = read_status(settings, service)
        lasts = clock.now() - status.since > SETTLES_S
        if not should_run(settings, asked, name):
            continue
        if status.state == "failed" or (lasts and status.state == "degraded"):
            yield unwell(service, status)


def unwell(service: Service, status: Status) -> Issue:
    failed = status.state == "failed"
    reason = status.reason or "it gives no reason"
    return Issue(
        "critical" if failed else "warning",
        f"{service.name} {'has failed' if failed else 'is degraded'}",
        f"{service.title}: {reason}. {service.without if failed else ''}".strip(),
        f"What it says is what to mend; its log has more: form logs {service.process}",
        subject=service.name,
        fix=Fix("Restart it") if failed else None,
        link=f"/services/{service.name}",
        state=status.state if failed else "",
    )


def mend(run: Run, subject: str) -> None:
    follow(run, lambda: control.request(subject, "restart", run.account))


REPAIR = Repair("services", "Services", find, mend)
