"""The example plug-in is found by its entry points alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.admin import setup
from appliance.admin.checks import all_checks
from appliance.config import Settings
from appliance.host import Host
from appliance.service import choose, services, status_file
from appliance.state.server import StateServer
from blueprints import create_app


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    services.cache_clear()
    yield
    services.cache_clear()


def test_service_page_and_check(
    installed: None, settings: Settings, records: StateServer
) -> None:
    client = create_app().test_client()
    status_file(settings, services()["greeter"]).unlink()
    assert client.get("/greeter/").text == "Good day"
    assert client.get("/api/v1/greeter/status").json["state"] == "waiting"
    choose(settings, ["greeter"])
    host = Host(settings, "jobs")
    host.tick()
    assert client.get("/greeter/health").json["state"] == "running"
    host.stop()
    assert "Manners" in [check.title for check in all_checks()]


def test_the_wizard_offers_it(
    installed: None, settings: Settings, records: StateServer
) -> None:
    code = setup.new_claim(settings)
    client = create_app().test_client()
    assert client.post("/setup/claim", data={"code": code}).status_code == 303
    assert "Greets whoever asks." in client.get("/setup/services").text
    assert "very good" in client.get("/setup/checks").text


def test_a_power_cut_resumes_at_the_first_open_step(
    settings: Settings, records: StateServer
) -> None:
    setup.save("checks", {})
    setup.save("node", setup.node_answers(settings, {"name": "cellar"}))
    code = setup.new_claim(settings)
    client = create_app().test_client()
    answer = client.post("/setup/claim", data={"code": code})
    assert answer.headers["Location"].endswith("/setup/account")
    assert "cellar" in client.get("/setup/node").text
