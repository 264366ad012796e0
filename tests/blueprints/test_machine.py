"""The page Machine, its API, and the wizard's step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from appliance import operations
from appliance.admin import setup
from appliance.admin.machine import changing, facts
from appliance.config import Settings
from appliance.problems import Conflict, Invalid
from appliance.state.server import StateServer
from tests.admin.machine.conftest import on_appliance as on_appliance
from tests.admin.machine.conftest import told as told
from tests.admin.machine.test_wish import KEY
from tests.blueprints.conftest import Person

API = "/api/v1/admin/machine"


@pytest.fixture
def here(settings: Settings, on_appliance: Path) -> Settings:
    facts.refresh(settings)
    return settings


def last() -> operations.Operation:
    return operations.recent(1)[0]


def test_the_page_shows_and_changes_the_machine(here: Settings, ada: Person) -> None:
    page = ada.browser.get("/admin/machine").text
    for text in ("formation.local", "eth0", "eth1", "SSH is off"):
        assert text in page
    form = {"host_name": "cellar", "time_zone": "Europe/Berlin"}
    assert ada.post("/admin/machine", **form) == 303
    assert '"host_name": "cellar"' in last().params
    assert "network" not in last().params


def test_what_is_wrong_is_beside_its_field(here: Settings, ada: Person) -> None:
    form = {"csrf": ada.csrf, "method": "static", "address": "192.168.1.300/24"}
    answer = ada.browser.post("/admin/machine", data=form)
    assert answer.status_code == 422
    assert "an address with its prefix" in answer.text
    assert 'value="192.168.1.300/24"' in answer.text
    assert operations.recent() == []
    form = {"csrf": ada.csrf, "ssh_keys": "mine"}
    answer = ada.browser.post("/admin/machine", data=form)
    assert answer.status_code == 422
    assert answer.text.count("an SSH key begins with") == 2


def test_a_way_that_is_not_chosen_does_not_count(here: Settings, ada: Person) -> None:
    form = {"method": "dhcp", "address": "nonsense", "interface": "eth1"}
    assert ada.post("/admin/machine", **form) == 303
    assert '"method": "dhcp"' in last().params


def test_a_changed_network_is_kept_by_the_page(here: Settings, ada: Person) -> None:
    assert ada.post("/admin/machine/keep") == 409
    changing.pending_file(here).write_text('{"until": 4e9}')
    assert "keep it?" in ada.browser.get("/admin/machine").text
    assert ada.post("/admin/machine/keep") == 303
    assert changing.kept_file(here).exists()


def test_the_api_shows_changes_and_keeps(here: Settings, ada: Person) -> None:
    bearer = ada.bearer("admin")
    client = ada.app.test_client()
    found = client.get(API, headers=bearer).get_json()
    assert (found["managed"], found["pending_s"]) == (True, None)
    wish = {
        "network": {"method": "static", "interface": "eth0", "address": "10.0.0.5/8"}
    }
    answer = client.patch(API, json=wish, headers=bearer)
    assert answer.status_code == 202
    assert client.post(f"{API}/keep", headers=bearer).status_code == 409
    changing.pending_file(here).write_text('{"until": 4e9}')
    assert client.patch(API, json=wish, headers=bearer).status_code == 409
    assert client.post(f"{API}/keep", headers=bearer).get_json() == {"kept": True}


@pytest.mark.parametrize(
    "wish", [{"colour": "red"}, {"network": {"method": "static"}}, {"ssh_keys": ["x"]}]
)
def test_a_wrong_wish_by_the_api_changes_nothing(
    here: Settings, ada: Person, wish: dict[str, object]
) -> None:
    answer = ada.app.test_client().patch(API, json=wish, headers=ada.bearer("admin"))
    assert answer.status_code == 422
    assert operations.recent() == []


def test_a_key_of_root_needs_a_fresh_proof(
    here: Settings, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = changing.clock.now() + 3600
    monkeypatch.setattr("appliance.clock.now", lambda: later)
    answer = ada.browser.post(
        "/admin/machine", data={"csrf": ada.csrf, "ssh_keys": KEY}
    )
    assert answer.status_code == 403
    assert "log in as root" in answer.text
    assert operations.recent() == []


def test_only_operators_see_it(here: Settings, eve: Person, bo: Person) -> None:
    for person in (eve, bo):
        assert person.get("/admin/machine") == 403
        assert person.post("/admin/machine", host_name="x") == 403


def test_elsewhere_the_page_shows_facts_and_says_so(
    settings: Settings, told: Callable[[], list[str]], ada: Person
) -> None:
    assert "not looked at yet" in ada.browser.get("/admin/machine").text
    facts.refresh(settings)
    page = ada.browser.get("/admin/machine").text
    assert "This machine is no appliance" in page
    assert "eth0" in page
    assert 'name="host_name"' not in page
    assert ada.post("/admin/machine", host_name="cellar") == 409


@pytest.fixture
def claimed(app: Flask, settings: Settings, records: StateServer) -> object:
    client = app.test_client()
    code = setup.new_claim(settings)
    assert client.post("/setup/claim", data={"code": code}).status_code == 303
    return client


def test_the_wizard_asks_for_the_machine_on_the_appliance_alone(
    claimed: object, on_appliance: Path
) -> None:
    assert setup.steps()[3] == "machine"
    page = claimed.get("/setup/machine").text  # type: ignore[attr-defined]
    assert 'value="formation"' in page
    (on_appliance / "appliance.json").unlink()
    assert "machine" not in setup.steps()
    assert claimed.get("/setup/machine").status_code == 404  # type: ignore[attr-defined]


def test_the_wizard_keeps_answers_and_begins_at_its_end(
    claimed: object, here: Settings
) -> None:
    client = claimed
    form = {"host_name": "cellar", "method": "dhcp", "ssh_keys": KEY}
    post = client.post  # type: ignore[attr-defined]
    assert post("/setup/machine", data={"host_name": "a b"}).status_code == 422
    assert post("/setup/machine", data=form).status_code == 303
    assert setup.saved()["machine"] == {"host_name": "cellar", "ssh_keys": [KEY]}
    assert operations.recent() == []
    post("/setup/node", data={"name": "cellar"})
    words = "correct horse battery"
    post("/setup/account", data={"name": "ada", "password": words, "again": words})
    post("/setup/services", data={})
    assert post("/setup/done").status_code == 303
    assert (last().kind, KEY in last().params) == ("machine-set", True)


FILE = """
[node]
name = "cellar"
[account]
name = "ada"
password = "correct horse battery"
[machine]
time_zone = "Europe/Berlin"
"""


def test_a_file_sets_the_machine_too(
    here: Settings, records: StateServer, tmp_path: Path
) -> None:
    (tmp_path / "setup.toml").write_text(FILE.replace("Europe", "Mars"))
    with pytest.raises(Invalid, match="no time zone"):
        setup.from_file(here, tmp_path / "setup.toml")
    assert not setup.is_done(here)
    (tmp_path / "setup.toml").write_text(FILE)
    setup.from_file(here, tmp_path / "setup.toml")
    assert '"time_zone": "Europe/Berlin"' in last().params


def test_a_file_for_an_appliance_is_refused_elsewhere(
    settings: Settings, records: StateServer, tmp_path: Path
) -> None:
    (tmp_path / "setup.toml").write_text(FILE)
    with pytest.raises(Conflict, match="no appliance"):
        setup.from_file(settings, tmp_path / "setup.toml")
    assert not setup.is_done(settings)
