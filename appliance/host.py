"""Hosts the services of one process: starts what is chosen, beats, stops.

Until set-up is done every service waits: its process runs and says so, its
runtime is not started.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Any

import structlog

from appliance import clock
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import (
    Process,
    Runtime,
    Service,
    State,
    Status,
    chosen,
    read_status,
    services,
    write_status,
)

log = structlog.get_logger()
REACH_S = 1.0


def is_reachable(place: str) -> bool:
    """Whether `host:port` accepts a connection now."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
    except (OSError, ValueError):
        return False
    return True


@dataclass
class _Hosted:
    service: Service
    status: Status
    runtime: Runtime | None = None


class Host:
    """Call `tick` every few seconds and after each wake-up."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self._settings = settings
        self._hosted = [
            _Hosted(service, Status("waiting", since=clock.now()))
            for service in services().values()
            if service.process == process
        ]

    def tick(self) -> None:
        """Start and stop what should be, and write every status."""
        wanted = chosen(self._settings)
        for hosted in self._hosted:
            hosted.status = self._next(hosted, wanted)
            write_status(self._settings, hosted.service, hosted.status)

    def fail(self, reason: str) -> None:
        """Say of every service that its process cannot begin."""
        for hosted in self._hosted:
            hosted.status = self._said(hosted, "failed", reason)
            write_status(self._settings, hosted.service, hosted.status)

    def runtime(self, name: str) -> Any:
        """The running runtime of a service, or None."""
        return next((h.runtime for h in self._hosted if h.service.name == name), None)

    def stop(self) -> None:
        for hosted in reversed(self._hosted):
            if hosted.runtime is not None:
                hosted.runtime.stop()
                hosted.runtime = None
            write_status(self._settings, hosted.service, self._said(hosted, "stopped"))

    def reload(self) -> None:
        for hosted in self._hosted:
            if hosted.runtime is not None:
                hosted.runtime.reload()

    def _next(self, hosted: _Hosted, wanted: frozenset[str] | None) -> Status:
        if wanted is None:
            return self._said(hosted, "waiting", "the set-up is not done")
        if hosted.service.name not in wanted:
            if hosted.runtime is not None:
                hosted.runtime.stop()
                hosted.runtime = None
            return self._said(hosted, "stopped", "it is switched off")
        if hosted.runtime is None:
            return self._start(hosted)
        state, reason = hosted.runtime.status()
        return self._said(hosted, state, reason)

    def _start(self, hosted: _Hosted) -> Status:
        for place in self._settings.node.wait_for:
            if not hosted.service.always and not is_reachable(place):
                return self._said(hosted, "waiting", f"{place} does not answer")
        for name in hosted.service.depends:
            needed = services().get(name)
            if needed and read_status(self._settings, needed).state not in (
                "running",
                "degraded",
            ):
                return self._said(hosted, "waiting", f"{name} does not run")
        runtime = hosted.service.runtime(self._settings)
        try:
            runtime.start()
        except (Problem, OSError) as error:
            log.warning("service.failed", service=hosted.service.name, why=str(error))
            return self._said(hosted, "failed", str(error))
        hosted.runtime = runtime
        log.info("service.started", service=hosted.service.name)
        state, reason = runtime.status()
        return self._said(hosted, state, reason)

    def _said(self, hosted: _Hosted, state: State, reason: str = "") -> Status:
        now = clock.now()
        before = hosted.status
        since = before.since if before.state == state else now
        return replace(before, state=state, reason=reason, since=since, beat=now)
