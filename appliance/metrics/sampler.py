"""One round of measuring: the node's own readings and those of running services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

import structlog
from peewee import PeeweeException

from appliance import clock
from appliance.config import Settings
from appliance.metrics import node, store
from appliance.metrics.readings import Rates, Reading
from appliance.problems import Problem
from appliance.service import read_status, services

log = structlog.get_logger()
Source = Callable[[Settings], Iterable[Reading]]
RUNS = ("running", "degraded")


class Sampler:
    """Lives as long as its process: growth needs the reading before."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rates: dict[str, Rates] = {}

    def sample(self) -> None:
        """Measure what can be measured now, source by source."""
        now = clock.now()
        for name, read in self._sources():
            try:
                rates = self._rates.setdefault(name, Rates())
                store.write(now, rates.values(list(read(self._settings)), now))
            except (Problem, PeeweeException, OSError) as error:
                log.info("metrics.absent", source=name, why=str(error))

    def _sources(self) -> Iterator[tuple[str, Source]]:
        yield "node", node.read
        for service in services().values():
            status = read_status(self._settings, service)
            if service.measures and status.state in RUNS:
                yield service.name, import_module(service.measures).read
