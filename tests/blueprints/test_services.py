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
    "may_limit": True,
    "enabled": True,
    "limits": {"cpu_percent": 0, "memory_mib": 0, "files": 512, "tasks": 0},
    "state": "running",
    "pid": 7,
    "since": 1.0,
    "said": "",
    "cpu_s": 1.5,
    "memory": 20_000_000,
    "tasks": 3,
    "files": 9,
    "connections": [
        {
            "id": "42",
            "pid": 7,
            "descriptor": 5,
            "kind": "tcp",
            "local": "10.42.0.1:53",
            "remote": "10.42.0.3:40000",
            "state": "established",
        }
    ],
}


@pytest.fixture
def looked(settings: Settings) -> None:
    found = {"looked": 1.0, "keeper": "supervisord", "holds": ["files"]}
    document = {**found, "processes": [PROCESS]}
    write_json(processes.report_file(settings), document)


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


def test_a_process_shows_its_limits_and_connections(
    ada: Person, bo: Person, eve: Person, looked: None
) -> None:
    page = ada.browser.get("/processes/dns").text
    assert 'value="512"' in page
    assert "kernel cannot hold it" in page
    assert "/processes/dns/connections/42/close" in page
    seen = eve.browser.get("/processes/dns").text
    assert "10.42.0.3:40000" in seen
    assert "<form" not in seen.split("<main")[1]
    assert bo.get("/processes/dns") == 403
    assert ada.get("/processes/nobody") == 404
    found = ada.browser.get("/api/v1/admin/processes/dns").get_json()
    assert found["connections"][0]["id"] == "42"


def test_limits_are_typed_and_what_is_wrong_is_said_beside_them(
    ada: Person, eve: Person, looked: None
) -> None:
    wrong = ada.browser.post(
        "/processes/dns/limits",
        data={"csrf": ada.csrf, "memory_mib": "lots", "files": "300"},
    )
    assert wrong.status_code == 422
    assert "a whole number" in wrong.text
    assert 'value="lots"' in wrong.text
    assert ada.post("/processes/dns/limits", tasks="3") == 422
    assert eve.post("/processes/dns/limits", tasks="100") == 403
    assert operations.recent() == []
    assert ada.post("/processes/dns/limits", files="300", tasks="") == 303
    limits = {"cpu_percent": 50, "memory_mib": 0, "files": 0, "tasks": 0}
    for body, status in ((limits, 202), ({"files": -1}, 422), ({"x": 1}, 422)):
        answer = ada.browser.put(
            "/api/v1/admin/processes/dns/limits",
            json=body,
            headers=ada.bearer("admin"),
        )
        assert answer.status_code == status


def test_connections_are_closed_by_an_operation(
    ada: Person, eve: Person, looked: None
) -> None:
    assert eve.post("/processes/dns/connections/42/close") == 403
    assert ada.post("/processes/dns/connections/42/close") == 303
    answer = ada.browser.delete(
        "/api/v1/admin/processes/dns/connections/42", headers=ada.bearer("admin")
    )
    assert answer.status_code == 202
    kinds = {row.kind for row in operations.recent()}
    assert kinds == {"connection-close"}
