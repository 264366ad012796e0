"""What rules are about: numbers and words of the node as they are now.

What cannot be known now is absent, as with measurements.
"""

from __future__ import annotations

import ctypes
import errno
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

import psutil
import structlog
from cryptography import x509
from dnslib import DNSRecord
from dnslib.dns import DNSError
from peewee import PeeweeException

from appliance import clock, dns, metrics, operations, state
from appliance.admin.caddy import certificate_files
from appliance.admin.checks import all_checks
from appliance.admin.repairs import kept
from appliance.config import Settings
from appliance.metrics import NODE
from appliance.problems import Problem
from appliance.service import Verdict, chosen, read_status, services

Value = float | str
Signals = dict[tuple[str, str], Value]
Found = Iterator[tuple[str, str, Value]]
log = structlog.get_logger()

NUMBERS = {
    "disk_used_percent": "Disk of the data in use, percent",
    "memory_used_percent": "The node's memory in use, percent",
    "tasks_failed_percent": "Failed tasks of those that ended, percent",
    "builds_failed_in_a_row": "Builds that failed since the last that did not",
    "certificate_days_left": "Days until the node's certificate expires",
}
WORDS = {
    "service": "State of a chosen service: running, degraded, failed, …",
    "instance": "State of an instance that should run: healthy, unhealthy, failed, …",
    "check": "Outcome of a check: ok, warning, failed",
    "repair": "Worst that a repair's check finds: ok, info, warning, critical",
    "clock": "Whether a time service keeps the clock: synchronised, not synchronised",
    "dns": "Whether form-dns answers: answers, silent",
}
SET_UP = ("cpu", "memory")
"""Checks for set-up alone: the machine's size does not change."""
BUILDS = 50
DNS_WAIT_S = 2.0
OK, UNSYNCHRONISED = 0, 5  # TIME_OK and TIME_ERROR of adjtimex(2)
ASKED_S = 30.0
TIMEDATED = ("org.freedesktop.timedate1", "/org/freedesktop/timedate1")
TIMEX_BYTES = 512


def read(settings: Settings) -> Signals:
    """Every signal by (name, subject); a source that fails is left out and logged."""
    found: Signals = {}
    for source in SOURCES:
        try:
            found |= {(name, of): value for name, of, value in source(settings)}
        except (Problem, PeeweeException, OSError, ValueError) as error:
            log.info("alerts.absent", source=source.__name__, why=str(error))
    return found


def measured(settings: Settings) -> Found:
    latest = metrics.latest(clock.now())
    for (subject, metric), point in latest.items():
        yield metric, subject, point.value
    ended = latest.get((NODE, "tasks"))
    failed = latest.get((NODE, "tasks_failed"))
    if ended and failed and ended.value > 0:
        yield "tasks_failed_percent", NODE, 100 * failed.value / ended.value


def machine(settings: Settings) -> Found:
    disk = psutil.disk_usage(str(settings.data_dir))
    yield "disk_used_percent", NODE, float(disk.percent)
    yield "memory_used_percent", NODE, float(psutil.virtual_memory().percent)
    disciplined = kernel_clock() != UNSYNCHRONISED
    yield "clock", NODE, "synchronised" if disciplined else "not synchronised"


def kernel_clock() -> int:
    """The state that adjtimex(2) tells; asking changes nothing."""
    question = ctypes.create_string_buffer(TIMEX_BYTES)
    answer = int(ctypes.CDLL(None, use_errno=True).adjtimex(question))
    if answer < 0 and ctypes.get_errno() == errno.EPERM:  # its unit forbids the call
        return (
            OK if is_synchronised(int(clock.monotonic() / ASKED_S)) else UNSYNCHRONISED
        )
    if answer < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return answer


@lru_cache(1)
def is_synchronised(when: int) -> bool:
    """The same by systemd-timedated(8); `when` changes where it is to be asked anew."""
    command = ["busctl", "get-property", *TIMEDATED, TIMEDATED[0], "NTPSynchronized"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=10, check=False
    )
    if done.returncode:
        raise OSError(errno.EPERM, f"timedated: {done.stderr.strip()[:200]}")
    return done.stdout.split() == ["b", "true"]


def wanted_services(settings: Settings) -> Found:
    for name in chosen(settings) or ():
        if name in services():
            yield "service", name, read_status(settings, services()[name]).state


def instances(settings: Settings) -> Found:
    for record in state.select("instance"):
        if record.body["desired"] == "running":
            yield "instance", record.id, str(record.body["state"])


def builds(settings: Settings) -> Found:
    failed = 0
    for how in operations.step_outcomes("build", BUILDS):
        if how != "failed":
            break
        failed += 1
    yield "builds_failed_in_a_row", NODE, float(failed)


def certificate(settings: Settings) -> Found:
    pem = certificate_files(settings)[0].read_bytes()
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    yield "certificate_days_left", NODE, (end - datetime.now(UTC)).total_seconds() / DAY


def names(settings: Settings) -> Found:
    """Ask form-dns, where it should run, for its own zone."""
    if "form-dns" not in (chosen(settings) or ()):
        return
    question = DNSRecord.question(dns.apex(settings), "SOA")
    try:
        question.send(settings.dns.host, settings.dns.port, timeout=DNS_WAIT_S)
        yield "dns", NODE, "answers"
    except (OSError, DNSError):
        yield "dns", NODE, "silent"


def checks(settings: Settings) -> Found:
    for check in all_checks():
        if check.name not in SET_UP:
            yield "check", check.name, word(check.run(settings))


def repairs(settings: Settings) -> Found:
    """As they were found last; what is ignored counts for nothing."""
    for name, severity in kept.worst().items():
        yield "repair", name, severity


def word(verdict: Verdict) -> str:
    if not verdict.ok:
        return "failed"
    return "warning" if verdict.warning and not verdict.pending else "ok"


DAY = 86400
SOURCES: tuple[Callable[[Settings], Found], ...] = (
    measured,
    machine,
    wanted_services,
    instances,
    builds,
    certificate,
    names,
    checks,
    repairs,
)
