"""Measurements: taken every ten seconds, kept in metrics.db in bounded space.

What cannot be measured is absent, never zero. A service adds its own by declaring
a module in `measures` whose `read(settings)` gives `Reading`s.
"""

from appliance.metrics.catalogue import METRICS, NODE, Metric, process
from appliance.metrics.readings import Reading
from appliance.metrics.rollup import Point
from appliance.metrics.store import Series, known, latest, read, size

__all__ = [
    "METRICS",
    "NODE",
    "Metric",
    "Point",
    "Reading",
    "Series",
    "known",
    "latest",
    "process",
    "read",
    "size",
]
