"""Pages and API of services and processes; what does not run is refused."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from appliance import operations
from appliance.admin import health, processes
from appliance.config import Settings
from appliance.service import services, write_json
from tests.blueprints.conftest import Person
from tests.conftest import say

PROCESS = {
    "name": "dns",
    "title": "Names",
    "user": "formation-dns",
    "without": "No name is answered.",
    "may_stop": True,
    "may_reload": True,
    "state": "running",
    "pid": 7,
    "since": 1.0,
    "said": "",
    "memory": 20_000_000,
    "tasks": 3,
    "files": 9,
    "connections": [],
}


@pytest.fixture
def looked(settings: Settings) -> None:
    found = {"looked": 1.0, "keeper": "supervisord", "processes": [PROCESS]}
    write_json(processes.report_file(settings), found)


def test_what_does_not_run_is_refused_but_for_its_status(
    ada: Person, nobody: FlaskClient, settings: Settings
) -> None:
    say(settings, "form-dns", "stopped", "somebody stopped it")
    refused = ada.browser.get("/api/v1/dns/names")
    assert refused.status_code == 503
    assert refused.mimetype == "application/problem+json"
    assert refused.headers["Retry-After"] == "5"
    assert "somebody stopped it" in refused.get_json()["detail"]
    for path in ("/api/v1/dns/status", "/dns/health"):
        found = nobody.get(path)
        assert (found.status_code, found.get_json()["state"]) == (200, "stopped")
    assert nobody.get("/api/v1/dns/names").status_code == 401
    assert ada.get("/dns/") == 200
    say(settings, "form-dns", "degraded", "a forwarder is slow")
    assert ada.get("/api/v1/dns/names") == 200


def test_administration_answers_whatever_runs(ada: Person, settings: Settings) -> None:
    for name in services():
        say(settings, name, "failed")
    assert ada.get("/api/v1/admin/services") == 200
    assert ada.get("/services/") == 200


def test_the_registry_says_where_what_and_since_when(
    ada: Person, settings: Settings
) -> None:
    health.note(settings)
    found = ada.browser.get("/api/v1/admin/services/form-dns").get_json()
    assert found["address"] == "http://localhost/api/v1/dns"
    assert found["depends"] == ["form-state"]
    assert [row["state"] for row in found["history"]] == ["running"]
    listed = ada.browser.get("/api/v1/admin/services").get_json()["services"]
    assert {one["name"] for one in listed} == set(services())
    targets = ada.browser.get("/api/v1/admin/targets").get_json()
    assert {t["labels"]["service"] for t in targets} == set(services())
    assert targets[0]["targets"] == ["localhost"]


def test_pages_show_state_graph_and_processes(
    ada: Person, eve: Person, looked: None, settings: Settings
) -> None:
    say(settings, "form-dns", "failed", "port 53 is taken")
    page = ada.browser.get("/services/").text
    assert "form-dns needs form-state" in page
    assert "failed: port 53 is taken" in page
    assert 'href="/processes/dns/stop"' in page
    one = ada.browser.get("/services/form-dns").text
    assert "has failed" in one
    assert 'href="/processes/dns/stop"' not in eve.browser.get("/services/").text
    assert ada.get("/services/nobody") == 404


def test_an_operator_is_asked_and_then_it_is_an_operation(
    ada: Person, bo: Person, eve: Person
) -> None:
    asked = ada.browser.get("/services/form-dns/stop").text
    assert "No name of this node is answered." in asked
    for other in (bo, eve):
        assert other.post("/services/form-dns/restart") == 403
    assert operations.recent() == []
    refused = ada.browser.post("/services/admin/stop", data={"csrf": ada.csrf})
    assert refused.status_code == 409
    assert "restart it instead" in refused.text
    assert ada.post("/services/form-dns/enable") == 303
    answer = ada.browser.post(
        "/api/v1/admin/processes/dns/restart", headers=ada.bearer("admin")
    )
    assert answer.status_code == 202
    kinds = {row.kind for row in operations.recent()}
    assert kinds == {"service-control", "process-control"}


def test_processes_nobody_looked_at_are_said(ada: Person) -> None:
    assert "Nobody has looked" in ada.browser.get("/services/").text
    assert ada.get("/api/v1/admin/processes") == 503
