"""The timetable of formation-jobs (APScheduler): a job for each concern."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from peewee import PeeweeException

from appliance import (
    audit,
    clock,
    events,
    identity,
    market,
    operations,
    pack,
    state,
    vmm,
)
from appliance.admin import expired, health, processes, storage
from appliance.admin.alerts import delivery
from appliance.admin.alerts import store as alerts
from appliance.admin.machine import facts as machine
from appliance.admin.machine import firewall
from appliance.admin.repairs import looking as repairs
from appliance.admin.support import shelf
from appliance.config import Settings, settings
from appliance.metrics import store as measurements
from appliance.metrics.sampler import Sampler
from appliance.problems import EngineGone, Problem

log = structlog.get_logger()
Job = Callable[[Settings], object]
TRIES, AGAIN_S = 5, 1.0
ending = threading.Event()
"""Set when formation-jobs ends: no job waits any longer for an engine."""


def trim_events(settings: Settings) -> None:
    events.trim(settings.admin.events_kept)


def tend_audit(settings: Settings) -> None:
    """Drop what is too old, and have the chain's ends signed."""
    audit.trim(settings.admin.audit_kept)
    ends, node = audit.ends(), identity.node_id(settings)
    if ends and node:
        before, body = state.find("audit", node), {"node": node, **ends}
        if before is None or before.body != body:
            state.put("audit", node, body)


def trim_operations(settings: Settings) -> None:
    operations.trim(settings.admin.operations_kept)
    pack.trim_builds()


def trim_tasks(settings: Settings) -> None:
    market.trim_tasks(settings.market.keep_days)


def forget_expired(settings: Settings) -> None:
    expired.forget()


def age_measurements(settings: Settings) -> None:
    """Roll measurements up, then drop what is too old."""
    measurements.roll_up(clock.now())
    measurements.trim(clock.now(), settings.admin.metrics_mib << 20)


JOBS: dict[str, tuple[float, Job]] = {
    "storage": (0.5, storage.refresh),
    "processes": (0.1, processes.refresh),
    "machine": (0.5, machine.refresh),
    "firewall": (0.5, firewall.refresh),
    "health": (0.1, health.note),
    "alerts": (1 / 6, alerts.refresh),
    "deliver": (1 / 6, delivery.deliver),
    "repairs": (1, repairs.refresh),
    "support": (60, shelf.trim),
    "events": (10, trim_events),
    "audit": (10, tend_audit),
    "operations": (10, trim_operations),
    "expired": (10, forget_expired),
    "tasks": (60, trim_tasks),
    "uploads": (10, market.sweep),
    "orphans": (10, vmm.sweep),
    "collect": (10, pack.collect),
}
"""Minutes between the runs of each job."""
AT_ONCE = ("storage", "processes", "machine", "firewall")
"""What people may ask for as soon as the node runs."""


def patient(job: Job) -> Job:
    """What cannot be done now is logged, and done the next time; an engine that is
    away, as while the node starts, is waited for a little."""

    def run(settings: Settings) -> None:
        try:
            _try(job, settings)
        except (Problem, PeeweeException, OSError) as error:
            log.warning("job.failed", job=job.__name__, why=str(error))

    return run


def _try(job: Job, settings: Settings) -> None:
    for _ in range(TRIES):
        try:
            job(settings)
            return
        except EngineGone:
            if ending.wait(AGAIN_S):
                return
    job(settings)


def as_set_now(job: Job) -> Callable[[], object]:
    """The job with the settings of each time: they may have been read anew."""
    return lambda: job(settings())


def timetable(config: Settings) -> BackgroundScheduler:
    """The scheduler with every regular job; start it yourself."""
    scheduler = BackgroundScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1}
    )
    for name, (minutes, job) in JOBS.items():
        first = {"next_run_time": datetime.now(UTC)} if name in AT_ONCE else {}
        scheduler.add_job(
            as_set_now(patient(job)),
            "interval",
            seconds=minutes * 60,
            id=name,
            **first,
        )
    sample = Sampler(config).sample
    scheduler.add_job(sample, "cron", second="*/10", id="sample")
    aging = as_set_now(patient(age_measurements))
    scheduler.add_job(aging, "cron", minute="*/5", second=7, id="age")
    return scheduler
