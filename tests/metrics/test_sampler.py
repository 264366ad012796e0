"""What one round measures on this very machine, and what it leaves out."""

from __future__ import annotations

from importlib import import_module

import psutil
import pytest

from appliance import clock, metrics
from appliance.config import Settings
from appliance.metrics import node
from appliance.metrics.sampler import Sampler
from appliance.service import services
from appliance.state.server import StateServer


def test_the_node_is_measured_and_cpu_is_absent_at_first(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter((1e9, 1e9 + 10))
    monkeypatch.setattr(clock, "now", lambda: next(moments))
    busy = iter((500.0, 750.0))
    monkeypatch.setattr(node, "busy_percent", lambda: next(busy))
    monkeypatch.setattr("appliance.metrics.sampler.services", dict)
    sampler = Sampler(settings)
    sampler.sample()
    assert metrics.known("node") == ["disk_used", "memory"]
    sampler.sample()
    assert {"cpu", "net_in", "net_out"} <= set(metrics.known("node"))
    found = metrics.latest(1e9 + 10)
    assert found["node", "cpu"].value == 25.0
    assert 0 < found["node", "memory"].value < psutil.virtual_memory().total


def test_a_source_that_fails_leaves_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(config: Settings) -> object:
        raise OSError("no disk")

    def broken() -> object:
        yield "node", gone
        yield "fine", lambda config: [metrics.Reading("x", "memory", 1.0)]

    sampler = Sampler(settings)
    monkeypatch.setattr(sampler, "_sources", broken)
    sampler.sample()
    assert metrics.known("node") == []
    assert metrics.known("x") == ["memory"]


@pytest.mark.parametrize(
    ("name", "has_master", "outside"),
    [
        ("eth0", False, True),
        ("wlan0", False, True),
        ("lo", False, False),
        ("formation0", False, False),
        ("vnet3", True, False),
        ("fbuild2", False, False),
    ],
)
def test_only_what_leads_out_counts_as_network(
    name: str, has_master: bool, outside: bool
) -> None:
    assert node.is_outside(name, "formation0", has_master) is outside


def test_busy_time_only_grows() -> None:
    before = node.busy_percent()
    assert node.busy_percent() >= before


def test_instances_and_tasks_are_measured_by_their_services() -> None:
    declared = {name: one.measures for name, one in services().items() if one.measures}
    assert {"vmm-service", "marketplace"} <= set(declared)
    for module in declared.values():
        assert callable(import_module(module).read)
