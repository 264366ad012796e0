"""Points for charts, and what Prometheus scrapes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from appliance import clock, state
from appliance.admin import accounts, tokens
from appliance.config import Settings
from appliance.metrics import store
from blueprints import counting
from blueprints.prometheus import INSTANCE_GAUGES, NODE_GAUGES, PROCESS_GAUGES

URL = "/api/v1/admin/metrics"
INSTANCE = {
    "agent": "ada/echo",
    "owner_name": "ada",
    "name": "echo",
    "version": "0.1.0",
    "state": "healthy",
    "reason": "",
    "desired": "running",
    "address": "10.42.0.2",
    "memory_mib": 512,
    "vcpu": 1,
}
UNITS = (
    "_bytes|_ratio|_seconds|_per_minute|_per_second|_info|_state|_cpus|_total|"
    "_operations|_builds|_tasks|_records|_per_hour"
)


def measured(**values: float) -> None:
    found = {("node", metric): value for metric, value in values.items()}
    store.write(clock.now(), found | {("i1", "cpu"): 50.0, ("i1", "memory"): 1e6})


def test_points_come_with_unit_and_step(logged_in: FlaskClient) -> None:
    measured(cpu=25.0)
    answer = logged_in.get(f"{URL}?subject=node&metric=cpu").get_json()
    assert (answer["unit"], answer["step"]) == ("percent", 10)
    ((time, value),) = answer["points"]
    assert value == 25.0
    assert abs(time - clock.now()) < 60


def test_a_span_may_be_written_both_ways(logged_in: FlaskClient) -> None:
    store.write(1_790_000_000, {("node", "cpu"): 1.0})
    for span in (
        "from=1789999990&to=1790000010",
        "from=2026-09-21T14:13:10Z&to=2026-09-21T16:13:30%2B02:00",
    ):
        answer = logged_in.get(f"{URL}?metric=cpu&{span}")
        assert answer.status_code == 200, answer.text


def test_without_a_metric_the_last_of_each_is_given(logged_in: FlaskClient) -> None:
    measured(cpu=25.0, memory=7.0)
    found = logged_in.get(URL).get_json()["metrics"]
    assert {name: item["value"] for name, item in found.items()} == {
        "cpu": 25.0,
        "memory": 7.0,
    }


def test_what_was_not_measured_is_absent_not_zero(logged_in: FlaskClient) -> None:
    assert logged_in.get(URL).get_json()["metrics"] == {}
    assert logged_in.get(f"{URL}?metric=net_in").get_json()["points"] == []


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("metric=rubbish", 422, "known: cpu"),
        ("metric=cpu&from=yesterday", 422, "no time"),
        ("metric=cpu&from=2026-01-02T03:04:05", 422, "no time"),
        ("metric=cpu&to=1e400", 422, "no time"),
        ("metric=cpu&to=-5", 422, "no time"),
        ("metric=cpu&to=²", 422, "no time"),
        ("metric=cpu&from=2000000010&to=2000000000", 422, "exchange"),
        ("subject=nobody&metric=cpu", 404, "no instance"),
        ("subject=process/nobody&metric=process_cpu", 404, "nobody"),
    ],
)
def test_bad_questions_get_a_sentence(
    logged_in: FlaskClient, query: str, status: int, words: str
) -> None:
    answer = logged_in.get(f"{URL}?{query}")
    assert answer.status_code == status
    assert words in answer.get_json()["detail"]


@pytest.mark.parametrize("path", ["/", "/services/form-dns", "/vmm/i1"])
def test_a_page_says_how_far_back_its_charts_go(
    logged_in: FlaskClient, path: str
) -> None:
    state.put("instance", "i1", INSTANCE | {"port": 1, "disk_gib": 4, "image": "ab"})
    assert 'data-span="hour"' in logged_in.get(path).text
    assert 'data-span="year"' in logged_in.get(f"{path}?span=year").text
    wrong = logged_in.get(f"{path}?span=decade")
    assert wrong.status_code == 422
    assert "span" in wrong.text


def test_each_service_draws_itself_and_its_process(logged_in: FlaskClient) -> None:
    page = logged_in.get("/services/form-pack").text
    for metrics in ("builds,builds_failed", "build_seconds", "layers_made,layers_"):
        assert f'data-subject="node" data-metrics="{metrics}' in page
    assert 'data-subject="process/jobs" data-metrics="process_cpu"' in page
    assert "requests" in logged_in.get("/services/marketplace").text


def test_of_a_process_what_it_used_is_known(logged_in: FlaskClient) -> None:
    store.write(clock.now(), {("process/web", "process_cpu"): 3.0})
    query = "subject=process/web&metric=process_cpu"
    answer = logged_in.get(f"{URL}?{query}").get_json()
    assert (answer["title"], answer["points"][0][1]) == ("CPU of the process", 3.0)


def test_requests_are_counted_by_how_they_ended(
    logged_in: FlaskClient, settings: Settings
) -> None:
    before = counting.now()
    logged_in.get(URL)
    logged_in.get("/nowhere")
    counting.report(settings.run_dir, "web")
    report = json.loads((settings.run_dir / "web" / "requests.json").read_text())
    assert report["answered"] == before["answered"] + 2
    assert report["failed"] == before["failed"]  # what is not there is no failure


def scrape(logged_in: FlaskClient, accept: str = "") -> str:
    answer = logged_in.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    return answer.text


def test_the_exposition_has_node_instances_services_and_work(
    logged_in: FlaskClient,
) -> None:
    state.put("instance", "i1", INSTANCE)
    measured(memory=5e9, tasks=3.0)
    families = {f.name: f for f in text_string_to_metric_families(scrape(logged_in))}
    assert families["formation_node_memory_used_bytes"].samples[0].value == 5e9
    (cpu,) = families["formation_instance_cpu_usage_ratio"].samples
    assert (cpu.labels, cpu.value) == ({"instance": "i1", "agent": "ada/echo"}, 0.5)
    states = families["formation_service_state"].samples
    assert sum(s.value for s in states) == len({s.labels["service"] for s in states})
    for name in ("operations", "builds", "tasks"):
        assert f"formation_{name}" in families
    assert "formation_instance_network_receive_bytes_per_second" not in families


def test_names_follow_the_conventions(logged_in: FlaskClient) -> None:
    state.put("instance", "i1", INSTANCE)
    measured(cpu=1.0, memory=1.0, memory_promised=1.0, tasks=1.0, tasks_failed=0.0)
    for family in text_string_to_metric_families(scrape(logged_in)):
        assert re.fullmatch(r"formation_[a-z_]+", family.name), family.name
        assert re.search(f"({UNITS})$", family.name), family.name
        assert family.documentation
        counts = any(s.name.endswith("_total") for s in family.samples)
        assert counts == (family.type == "counter")


DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "formation.json"


def test_the_grafana_dashboard_draws_what_there_is(logged_in: FlaskClient) -> None:
    state.put("instance", "i1", INSTANCE)
    node, instance = (
        {(of, metric): 1.0 for metric, _, _ in gauges}
        for of, gauges in (("node", NODE_GAUGES), ("i1", INSTANCE_GAUGES))
    )
    process = {("process/web", metric): 1.0 for metric, _, _ in PROCESS_GAUGES}
    store.write(clock.now(), node | instance | process)
    there = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(scrape(logged_in))
        for sample in family.samples
    }
    declared = re.findall(r"^# TYPE (\w+)", scrape(logged_in), re.MULTILINE)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [t["expr"] for panel in panels for t in panel.get("targets", ())]
    asked = {name for expr in queries for name in re.findall(r"formation_\w+", expr)}
    assert asked - there.keys() - set(declared) == set()
    assert len(asked) > 20
    for expr in queries:
        for name, labels in re.findall(r"(formation_\w+)\{([^}]*)\}", expr):
            named = set(re.findall(r"(\w+)[=!]", labels)) - {"instance"}
            assert named <= there.get(name, named), expr


def test_openmetrics_is_spoken_where_it_is_asked_for(logged_in: FlaskClient) -> None:
    text = scrape(logged_in, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert [f.name for f in openmetrics(text)]


def test_only_operators_and_auditors_scrape(app: Flask, logged_in: FlaskClient) -> None:
    anyone = app.test_client()
    assert anyone.get("/metrics").status_code == 401
    hashed = accounts.hash_password("a long enough one")
    for name, role, status in (("eve", "auditor", 200), ("dev", "developer", 403)):
        account = accounts.create(name, hashed, (role,))
        token, _ = tokens.create(account, "scrape", ["read"])
        bearer = {"Authorization": f"Bearer {token}"}
        assert anyone.get("/metrics", headers=bearer).status_code == status
