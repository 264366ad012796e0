"""Queries a second, from what form-dns reports of itself."""

from __future__ import annotations

import os

from appliance.config import Settings
from appliance.dns import measures
from appliance.metrics.readings import Rates
from appliance.service import services, write_json


def test_queries_are_counted_between_two_reports(settings: Settings) -> None:
    file, rates = settings.run_dir / "dns" / "report.json", Rates()
    assert list(measures.read(settings)) == []
    for time, answered in ((1000, 10), (1005, 60)):
        write_json(
            file, {"queries": {"answered": answered, "refused": 5, "turned away": time}}
        )
        os.utime(file, (time, time))
        found = rates.values(measures.read(settings), 2000)
    assert found["node", "dns_queries"] == 10.0
    assert rates.values(measures.read(settings), 2010) == {}  # the same report again


def test_a_torn_report_is_no_measurement(settings: Settings) -> None:
    write_json(settings.run_dir / "dns" / "report.json", 1)
    (settings.run_dir / "dns" / "report.json").write_text("{")
    assert list(measures.read(settings)) == []


def test_it_is_declared() -> None:
    assert services()["form-dns"].measures == "appliance.dns.measures"


def test_what_failed_or_was_turned_away_stands_beside(settings: Settings) -> None:
    file, rates = settings.run_dir / "dns" / "report.json", Rates()
    for time, failed in ((1000, 1), (1010, 21)):
        write_json(file, {"queries": {"answered": 5, "failed": failed}})
        os.utime(file, (time, time))
        found = rates.values(measures.read(settings), 2000)
    assert found == {("node", "dns_queries"): 0.0, ("node", "dns_failed"): 2.0}
