"""The names' page and API."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from appliance import cli
from appliance.config import Settings
from appliance.state.server import StateServer
from tests.blueprints.test_navigation import client  # noqa: F401
from tests.dns.test_service import ZONE, instance


def test_names_are_shown_with_their_health(
    client: FlaskClient,  # noqa: F811
    records: StateServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "No agent runs yet" in client.get("/dns/").text
    instance("ada", "echo", "10.42.0.2")
    instance("ada", "ill", "10.42.0.3", state="unhealthy")
    page = client.get("/dns/").text
    assert "2 of 4 names in formation.internal answer" in page
    assert "ada holds the short name" in page
    found = client.get("/api/v1/dns/names").get_json()
    assert found["names"][f"echo.{ZONE}"] == ["10.42.0.2"]
    assert [n["health"] for n in found["agents"]] == ["healthy"] * 2 + ["unhealthy"] * 2
    monkeypatch.setattr(cli, "call", lambda method, path: client.get(path).get_json())
    listed = CliRunner().invoke(cli.main, ["dns", "names"]).output
    assert f"echo.ada.{ZONE}" in listed
    assert "10.42.0.2" in listed


def test_counts_are_those_that_formation_dns_wrote(
    client: FlaskClient,  # noqa: F811
    settings: Settings,
) -> None:
    assert client.get("/api/v1/dns/queries").get_json()["queries"] == {}
    file = settings.run_dir / "dns" / "report.json"
    file.parent.mkdir(exist_ok=True)
    report = {"since": 0.0, "listens": ["127.0.0.1 port 5453"], "forwarders": []}
    file.write_text(json.dumps(report | {"queries": {"answered": 7}}))
    assert client.get("/api/v1/dns/queries").get_json()["queries"] == {"answered": 7}
    page = client.get("/dns/").text
    assert "127.0.0.1 port 5453" in page
    assert "no resolver" in page
