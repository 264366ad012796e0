"""Deleting agents and versions: who may, what the pages say and ask before."""

from __future__ import annotations

import pytest

from appliance import operations, runner, state
from appliance.admin import storage
from appliance.config import Settings
from appliance.service import write_json

from .conftest import Person

API = "/api/v1/market/agents/bo/echo"
PAGE = "/market/bo/echo"


@pytest.fixture(autouse=True)
def agent(bo: Person, settings: Settings) -> None:
    """bo's agent in two versions, one of which runs, with a volume."""
    names = {"owner": bo.account.id, "owner_name": "bo", "name": "echo"}
    state.put("agent", "bo/echo", {**names, "latest": "0.2.0", "description": ""})
    for version in ("0.1.0", "0.2.0"):
        links = {"build_id": "b" * 64, "image": "a" * 64, "formfile": {}}
        body = {"agent": "bo/echo", "version": version, "created": "2026", **links}
        state.put("version", f"bo/echo@{version}", body)
    where = {"address": "10.42.0.2", "port": 8000, "desired": "running"}
    about = {"agent": "bo/echo", "version": "0.2.0", "state": "healthy", "reason": ""}
    state.put("instance", "i1", {**names, **where, **about})
    volume = {"owner": "bo", "agent": "echo", "name": "data", "mount": "/data"}
    found = {"volumes": [{**volume, "bytes": 12_000_000, "users": []}]}
    write_json(storage.report_file(settings), found)


def asked() -> list[tuple[str, str]]:
    return [(row.kind, row.subject) for row in operations.recent()]


def test_its_owner_and_an_operator_delete_an_agent(bo: Person, ada: Person) -> None:
    for who in (bo, ada):
        answer = who.browser.delete(API, headers={"X-CSRF-Token": who.csrf})
        assert answer.status_code == 202
        made = answer.get_json()["id"]
        assert answer.headers["Location"] == f"/api/v1/operations/{made}"
        operations.cancel(made)
        runner.execute(made, "w")
    assert asked() == [("delete-agent", "bo/echo")] * 2


@pytest.mark.parametrize("path", [API, f"{API}/versions/0.1.0"])
def test_nobody_else_does(cy: Person, eve: Person, path: str) -> None:
    for who in (cy, eve):
        answer = who.browser.delete(path, headers={"X-CSRF-Token": who.csrf})
        assert answer.status_code == 403
        for page in ("delete", "versions/0.1.0/delete"):
            assert who.get(f"{PAGE}/{page}") == 403
            assert who.post(f"{PAGE}/{page}", confirm="bo/echo") == 403
    assert cy.get(f"{API}/belongings") == 403
    assert asked() == []


def test_bad_wishes_change_nothing(bo: Person) -> None:
    headers = {"X-CSRF-Token": bo.csrf}
    for path, status in (
        (f"{API}?volumes=yes", 422),
        ("/api/v1/market/agents/bo/none", 404),
        (f"{API}/versions/9.9.9", 404),
        (f"{API}/versions/0.2.0", 409),
    ):
        answer = bo.browser.delete(path, headers=headers)
        assert answer.status_code == status, path
        assert answer.mimetype == "application/problem+json"
    assert asked() == []


def test_the_page_says_what_goes_and_asks_for_the_name(bo: Person) -> None:
    page = bo.browser.get(f"{PAGE}/delete").text
    for text in ("i1", "0.1.0, 0.2.0", "/data (12 MB)", "they stay unless"):
        assert text in page
    assert bo.post(f"{PAGE}/delete", confirm="echo") == 422
    assert asked() == []
    assert bo.post(f"{PAGE}/delete", confirm="bo/echo", volumes="1") == 303
    assert '"volumes": true' in operations.recent()[0].params


def test_the_page_of_a_version_says_why_it_stays(bo: Person) -> None:
    page = bo.browser.get(f"{PAGE}/versions/0.2.0/delete").text
    assert "latest version" in page
    assert "button danger" not in page
    assert bo.post(f"{PAGE}/versions/0.2.0/delete") == 409
    assert "It can no longer be deployed" in (
        bo.browser.get(f"{PAGE}/versions/0.1.0/delete").text
    )
    assert bo.post(f"{PAGE}/versions/0.1.0/delete") == 303
    assert asked() == [("delete-version", "bo/echo@0.1.0")]


def test_the_agents_page_leads_there_for_those_who_may(bo: Person, cy: Person) -> None:
    links = (f"{PAGE}/delete", f"{PAGE}/versions/0.1.0/delete")
    for who, shown in ((bo, True), (cy, False)):
        page = who.browser.get(PAGE).text
        assert [link in page for link in links] == [shown, shown]
        assert f"{PAGE}/versions/0.2.0/delete" not in page


def test_a_version_cannot_be_registered_while_its_agent_goes(bo: Person) -> None:
    headers = {"X-CSRF-Token": bo.csrf}
    bo.browser.delete(API, headers=headers)
    manifest = {"build_id": "b" * 64, "image": "a" * 64}
    path = f"{API}/versions/0.3.0"
    answer = bo.browser.put(path, json=manifest, headers=headers)
    assert answer.status_code == 409
    assert "is being deleted" in answer.get_json()["detail"]
