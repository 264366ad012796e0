"""What every process of ours does the same: logging, signals, the host's rounds."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable

import structlog

from appliance.config import Settings
from appliance.host import Host
from appliance.wake import Waiter

ROUND_S = 3.0


def set_up_logging(settings: Settings) -> None:
    """One JSON object (or one readable line) for each event, on stderr."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log.format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    level = getattr(logging, settings.log.level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def run_rounds(host: Host, waiter: Waiter, work: Callable[[], object] = int) -> None:
    """Tick and `work` at each wake-up and every few seconds, until SIGTERM."""
    ended = threading.Event()

    def end(number: int, frame: object) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        while not ended.is_set():
            host.tick()
            work()
            waiter.wait(ROUND_S)
    finally:
        host.stop()
        waiter.close()
