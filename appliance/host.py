"""Hosts the services of one process: starts what should run, beats, stops.

Until set-up is done every service waits: its process runs and says so, its
runtime is not started. A service begins when all that it depends on runs; where one of
them fails later it goes on, degraded, and is well again when that is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from peewee import PeeweeException

from appliance import clock, config, reloading
from appliance.config import Settings
from appliance.problems import Problem
from appliance.service import (
    UNSET,
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
from appliance.wishes import Wish, should_run, wishes

log = structlog.get_logger()
REACH_S = 1.0
RUNS = ("running", "degraded")
OFF = "it is switched off"


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
    done: Wish
    runtime: Runtime | None = None


class Host:
    """Call `tick` every few seconds and after each wake-up."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self._settings = settings
        self._process = process
        self._followers: list[Callable[[Settings], object]] = []
        self._report = reloading.Report(
            reloading.started(settings), reloading.requested(settings)
        )
        self._said_so = False
        asked = wishes(settings)
        self._hosted = [
            _Hosted(
                service,
                Status("waiting", since=clock.now()),
                asked.get(service.name, Wish()),
            )
            for service in services().values()
            if service.process == process
        ]

    def tick(self) -> None:
        """Read the settings if that was asked for, start and stop what should be, and
        write every status."""
        if reloading.requested(self._settings) > self._report.answered:
            self.reload()
        elif not self._said_so:
            self._say_read(self._report)
        is_set_up, asked = chosen(self._settings) is not None, wishes(self._settings)
        for hosted in self._hosted:
            self._say(hosted, *self._next(hosted, is_set_up, asked))

    def fail(self, reason: str) -> None:
        """Say of every service that its process cannot begin."""
        for hosted in self._hosted:
            self._say(hosted, "failed", reason)

    def runtime(self, name: str) -> Any:
        """The running runtime of a service, or None."""
        return next((h.runtime for h in self._hosted if h.service.name == name), None)

    def stop(self) -> None:
        for hosted in reversed(self._hosted):
            self._stop(hosted)
            self._say(hosted, "stopped", "its process has ended")

    def follow(self, follower: Callable[[Settings], object]) -> None:
        """Call it with the settings whenever they were read anew."""
        self._followers.append(follower)

    def reload(self) -> None:
        """Read the settings; who was started with them takes what is new. Wrong ones
        change nothing."""
        asked, trouble = reloading.requested(self._settings), ""
        try:
            self._settings = config.reload()
            self._pass_on()
        except (Problem, OSError, PeeweeException) as error:
            trouble = str(error)
            log.error("settings.trouble", why=trouble)
        else:
            log.info("settings.read")
        self._say_read(replace(self._report, answered=asked, trouble=trouble))

    def _pass_on(self) -> None:
        for follower in self._followers:
            follower(self._settings)
        for hosted in self._hosted:
            if hosted.runtime is not None:
                hosted.runtime.reload()

    def _say_read(self, report: reloading.Report) -> None:
        self._report, self._said_so = report, True
        reloading.write(self._settings, self._process, report)

    def _next(
        self, hosted: _Hosted, is_set_up: bool, asked: Mapping[str, Wish]
    ) -> tuple[State, str]:
        if not is_set_up:
            return "waiting", UNSET
        name = hosted.service.name
        wish, done = asked.get(name, Wish()), hosted.done
        hosted.done = wish
        should = should_run(self._settings, asked, name)
        if not should or wish.restarts != done.restarts:
            self._stop(hosted)
        if not should:
            return "stopped", "somebody stopped it" if wish.run is False else OFF
        if hosted.runtime is None:
            return self._start(hosted)
        if wish.reloads != done.reloads:
            self.reload()
        return self._state(hosted)

    def _state(self, hosted: _Hosted) -> tuple[State, str]:
        """What the runtime says, or else what it suffers from."""
        if hosted.runtime is None:
            return "stopped", OFF
        state, reason = hosted.runtime.status()
        missing = self._missing(hosted.service)
        return (
            ("degraded", missing)
            if missing and state == "running"
            else (
                state,
                reason,
            )
        )

    def _missing(self, service: Service) -> str:
        """Which of those that it depends on does not run, and why; empty if all do."""
        for name in service.depends:
            needed = services().get(name)
            if needed is None:
                continue
            status = read_status(self._settings, needed)
            if status.state not in RUNS:
                why = f": {status.reason}" if status.reason else ""
                return f"{name} is {status.state}{why}"
        return ""

    def _start(self, hosted: _Hosted) -> tuple[State, str]:
        for place in self._settings.node.wait_for:
            if not hosted.service.always and not is_reachable(place):
                return "waiting", f"{place} does not answer"
        missing = self._missing(hosted.service)
        if missing:
            return "waiting", missing
        self._say(hosted, "starting", "")
        runtime = hosted.service.runtime(self._settings)
        try:
            runtime.start()
        except (Problem, OSError) as error:
            log.warning("service.failed", service=hosted.service.name, why=str(error))
            return "failed", str(error)
        hosted.runtime = runtime
        log.info("service.started", service=hosted.service.name)
        return self._state(hosted)

    def _stop(self, hosted: _Hosted) -> None:
        if hosted.runtime is None:
            return
        self._say(hosted, "stopping", "")
        hosted.runtime.stop()
        hosted.runtime = None
        log.info("service.stopped", service=hosted.service.name)

    def _say(self, hosted: _Hosted, state: State, reason: str) -> None:
        now, before = clock.now(), hosted.status
        hosted.status = Status(
            state,
            reason,
            before.since if before.state == state else now,
            now,
            before.details | {"done": asdict(hosted.done)},
        )
        write_status(self._settings, hosted.service, hosted.status)
