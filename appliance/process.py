"""What every process of ours does the same: logging, signals, the host's rounds."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from appliance import notify
from appliance.config import Settings
from appliance.host import Host
from appliance.problems import Problem
from appliance.wake import Waiter

ROUND_S = 3.0
Opened = TypeVar("Opened")


def set_up_logging(settings: Settings) -> None:
    """One JSON object (or one readable line) for each event, on stderr. Tracebacks
    are without the values of variables: those may be secrets."""
    level = getattr(logging, settings.log.level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(settings.log.format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _renderers(format_: str) -> tuple[structlog.typing.Processor, ...]:
    if format_ == "json":
        tracebacks = ExceptionDictTransformer(show_locals=False)
        return (
            structlog.processors.ExceptionRenderer(tracebacks),
            structlog.processors.JSONRenderer(),
        )
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain),)


def opened(host: Host, open_: Callable[[], Opened]) -> Opened:
    """What `open_` gives. While it is refused, as by a pass phrase that is wrong, the
    process waits and its services say why; it goes on once that is mended."""
    said, pause = "", threading.Event()
    while True:
        try:
            return open_()
        except Problem as problem:
            if str(problem) != said:
                said = str(problem)
                structlog.get_logger().error("process.waits", why=said)
            host.fail(said)
            notify.ready(f"waits: {said}")  # its services say so, and none waits for it
            notify.alive()
            pause.wait(ROUND_S)


def run_rounds(
    host: Host,
    waiter: Waiter,
    work: Callable[[], object] = int,
    leave: Callable[[], object] = int,
    alive: Callable[[], object] = notify.alive,
) -> None:
    """Tick and `work` at each wake-up and every few seconds, until SIGTERM; then
    `leave` off the work, and stop the services. At SIGHUP they reload. After each round
    `alive` feeds systemd's watchdog, if all is well."""
    host.follow(set_up_logging)
    ended, reloads = threading.Event(), threading.Event()

    def end(number: int, frame: object) -> None:
        ended.set()
        waiter.poke()

    def reload(number: int, frame: object) -> None:
        reloads.set()
        waiter.poke()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, reload)
    notify.ready()
    try:
        while not ended.is_set():
            if reloads.is_set():
                reloads.clear()
                reload_host(host)
            host.tick()
            work()
            alive()
            waiter.wait(ROUND_S)
    finally:
        notify.stopping()
        leave()
        host.stop()
        waiter.close()


def reload_host(host: Host) -> None:
    """At SIGHUP; systemd sees it reload."""
    notify.reloading()
    host.reload()
    notify.ready()
