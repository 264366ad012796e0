"""What processes use and answer, from what they and formation-jobs report."""

from __future__ import annotations

import os

import pytest

from appliance import clock
from appliance.admin import measures, processes
from appliance.config import Settings
from appliance.metrics import METRICS
from appliance.metrics.readings import Rates
from appliance.service import services, write_json


def report(settings: Settings, looked: float, cpu_s: float) -> None:
    found = [
        {"name": "web", "pid": 7, "cpu_s": cpu_s, "memory": 5_000_000},
        {"name": "dns", "pid": 0, "cpu_s": 0.0, "memory": 0},
    ]
    write_json(processes.report_file(settings), {"looked": looked, "processes": found})


def answered(settings: Settings, time: float, count: int, failed: int) -> None:
    file = settings.run_dir / "web" / "requests.json"
    write_json(file, {"answered": count, "failed": failed})
    os.utime(file, (time, time))


def test_cpu_and_requests_are_measured_between_two_reports(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = Rates()
    monkeypatch.setattr(clock, "now", lambda: 1010.0)
    assert list(measures.read(settings)) == []
    for looked, cpu_s, count, failed in ((1000, 3.0, 10, 0), (1006, 6.0, 70, 6)):
        report(settings, looked, cpu_s)
        answered(settings, looked, count, failed)
        found = rates.values(measures.read(settings), 2000)
    assert found == {
        ("process/web", "process_cpu"): 50.0,
        ("process/web", "process_memory"): 5e6,
        ("process/web", "requests"): 10.0,
        ("process/web", "requests_failed"): 1.0,
    }
    assert {metric for _, metric in found} <= set(METRICS)
    monkeypatch.setattr(clock, "now", lambda: 1100.0)  # nobody looks any more
    kept = {reading.metric for reading in measures.read(settings)}
    assert kept == {"requests", "requests_failed"}


@pytest.mark.parametrize("text", ["", "{", '{"answered": '])
def test_a_torn_report_is_no_measurement(settings: Settings, text: str) -> None:
    file = settings.run_dir / "web" / "requests.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    processes.report_file(settings).write_text(text)
    assert list(measures.read(settings)) == []


def test_all_that_services_draw_is_in_the_catalogue() -> None:
    charts = [chart for one in services().values() for chart in one.charts]
    assert len(charts) > 8
    for chart in charts:
        units = {METRICS[metric].unit for metric in chart.metrics}
        assert len(units) == 1, chart
