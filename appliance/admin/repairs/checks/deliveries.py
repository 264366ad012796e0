"""Do alerts reach those who should be told?"""

from __future__ import annotations

from collections.abc import Iterator

from appliance import operations
from appliance.admin.alerts import delivery, targets
from appliance.admin.alerts.delivery import Delivery
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.repairs.mending import follow
from appliance.config import Settings
from appliance.operations import Run

STUCK = 3


def find(settings: Settings) -> Iterator[Issue]:
    for target in targets.every():
        newest = last(target.name)
        if newest is not None and is_stopped(newest):
            yield Issue(
                "warning",
                f"Alerts do not reach {target.name}",
                f"The last one failed: {newest.outcome}. Tries so far: {newest.tries}.",
                "Look at its address, port and secret under Who is told, then send a "
                "test.",
                subject=target.name,
                fix=Fix("Send a test"),
                link="/alerts/targets",
                state=newest.outcome,
            )


def last(target: str) -> Delivery | None:
    """The newest that was tried."""
    tried = (Delivery.target == target) & (Delivery.tries > 0)
    row: Delivery | None = (
        Delivery.select().where(tried).order_by(Delivery.id.desc()).first()
    )
    return row


def is_stopped(row: Delivery) -> bool:
    return row.state == "failed" or (row.state == "queued" and row.tries >= STUCK)


def mend(run: Run, subject: str) -> None:
    follow(
        run,
        lambda: operations.submit(
            delivery.KINDS[0].name,
            title=f"Telling {subject} a test",
            subject=subject,
            params={},
            account=run.account,
        ),
    )


REPAIR = Repair("deliveries", "Alerts are told", find, mend)
