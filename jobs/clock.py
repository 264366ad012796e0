"""The timetable of formation-jobs (APScheduler)."""

from __future__ import annotations

from apscheduler.schedulers.background import BackgroundScheduler

from appliance import clock, events
from appliance.config import Settings
from appliance.metrics import store as measurements
from appliance.metrics.sampler import Sampler
from appliance.operations import LIVE, Operation

OPERATIONS_KEPT_S = 30 * 86400.0


def trim(settings: Settings) -> None:
    """Bound what grows: events, and operations that ended long ago."""
    events.trim(settings.admin.events_kept)
    before = clock.now() - OPERATIONS_KEPT_S
    Operation.delete().where(
        (Operation.created < before) & Operation.state.not_in(LIVE)
    ).execute()


def age_measurements(settings: Settings) -> None:
    """Roll measurements up, then drop what is too old."""
    measurements.roll_up(clock.now())
    measurements.trim(clock.now(), settings.admin.metrics_mib << 20)


def timetable(settings: Settings) -> BackgroundScheduler:
    """The scheduler with every regular job; start it yourself."""
    scheduler = BackgroundScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1}
    )
    scheduler.add_job(trim, "interval", minutes=10, args=[settings], id="trim")
    sample = Sampler(settings).sample
    scheduler.add_job(sample, "cron", second="*/10", id="sample")
    scheduler.add_job(
        age_measurements, "cron", minute="*/5", second=7, args=[settings], id="age"
    )
    return scheduler
