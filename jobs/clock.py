"""The timetable of formation-jobs (APScheduler)."""

from __future__ import annotations

from apscheduler.schedulers.background import BackgroundScheduler

from appliance import clock, events
from appliance.config import Settings
from appliance.operations import LIVE, Operation

OPERATIONS_KEPT_S = 30 * 86400.0


def trim(settings: Settings) -> None:
    """Bound what grows: events, and operations that ended long ago."""
    events.trim(settings.admin.events_kept)
    before = clock.now() - OPERATIONS_KEPT_S
    Operation.delete().where(
        (Operation.created < before) & Operation.state.not_in(LIVE)
    ).execute()


def timetable(settings: Settings) -> BackgroundScheduler:
    """The scheduler with every regular job; start it yourself."""
    scheduler = BackgroundScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1}
    )
    scheduler.add_job(trim, "interval", minutes=10, args=[settings], id="trim")
    return scheduler
