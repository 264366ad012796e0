"""The guest network's page and API."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from appliance import cli
from appliance.config import Settings
from appliance.state.server import StateServer
from tests.blueprints.test_navigation import client  # noqa: F401
from tests.dns.test_service import instance


def test_addresses_are_shown_with_who_has_them(
    client: FlaskClient,  # noqa: F811
    records: StateServer,
) -> None:
    assert "0 of 253 guest addresses" in client.get("/formnet/").text
    assert client.get("/api/v1/formnet/network").get_json()["loaded"] is None
    instance("ada", "echo", "10.42.0.2")
    found = client.get("/api/v1/formnet/network").get_json()
    assert (found["gateway"], found["block"]) == ("10.42.0.1", "10.42.0.0/24")
    assert found["addresses"] == [
        {
            "address": "10.42.0.2",
            "agent": "ada/echo",
            "instance": "ada-echo-10.42.0.2",
            "port": "formg-0a2a0002",
            "state": "healthy",
        }
    ]
    assert "1 of 253 guest addresses" in client.get("/formnet/").text


def test_rules_counts_and_what_is_in_the_way_are_shown(
    client: FlaskClient,  # noqa: F811
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = settings.run_dir / "formnet" / "report.json"
    file.parent.mkdir()
    report = {"time": 0.0, "rules": "table inet <formation>", "packets": {"out": 4711}}
    file.write_text(json.dumps(report | {"blocked_by": ["ip filter FORWARD drops"]}))
    page = client.get("/formnet/").text
    assert "table inet &lt;formation&gt;" in page
    assert "4711" in page
    assert "ip filter FORWARD drops" in page
    monkeypatch.setattr(cli, "call", lambda method, path: client.get(path).get_json())
    shown = CliRunner().invoke(cli.main, ["formnet", "show", "--rules"]).output
    for part in ("10.42.0.0/24", "4711 packets", "table inet <formation>", "drops"):
        assert part in shown
