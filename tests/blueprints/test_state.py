"""Pages and API of the records."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from appliance import cli, shares, state
from appliance.admin import accounts
from appliance.problems import from_document
from appliance.state.server import StateServer
from tests.blueprints.test_navigation import client  # noqa: F401

API = "/api/v1/state"


@pytest.fixture
def agent(records: StateServer) -> str:
    body = {"agent": "ada/echo", "version": "0.1.0", "build_id": "b"}
    state.put("build", "b", {"image": "i"})
    state.put("version", "ada/echo@0.1.0", body)
    state.put("agent", "ada/echo", {"owner": "gone", "latest": "0.1.0"})
    return "ada/echo"


def test_a_record_has_its_verdict_and_its_links(
    client: FlaskClient,  # noqa: F811
    agent: str,
) -> None:
    found = client.get(f"{API}/records/agent/{agent}").get_json()
    assert found["verdict"] == "genuine"
    assert found["links"] == [
        {"by": "owner", "kind": "account", "id": "gone", "living": False},
        {
            "by": "id@latest",
            "kind": "version",
            "id": "ada/echo@0.1.0",
            "living": True,
        },
    ]
    assert [end["kind"] for end in found["linked_from"]] == ["version"]
    assert found["headers"][0]["seq"] == found["seq"]
    page = client.get(f"/state/agent/{agent}").text
    assert 'href="/state/version/ada/echo@0.1.0"' in page
    assert "gone is not there" in page


def test_links_are_walked_by_following_them(
    client: FlaskClient,  # noqa: F811
    agent: str,
) -> None:
    found = client.get(f"{API}/records/build/b").get_json()
    for kind in ("version", "agent"):
        end = next(
            e for e in found["linked_from"] + found["links"] if e["kind"] == kind
        )
        found = client.get(f"{API}/records/{end['kind']}/{end['id']}").get_json()
    assert found["id"] == agent


def test_a_tombstone_is_shown_as_one(
    client: FlaskClient,  # noqa: F811
    agent: str,
) -> None:
    state.remove("agent", agent)
    assert client.get(f"{API}/records/agent/{agent}").get_json()["deleted"] is True
    assert "was deleted" in client.get(f"/state/agent/{agent}").text


@pytest.mark.parametrize("path", ["/state/agent/x/y", f"{API}/records/nokind/x"])
def test_what_is_not_there_is_said(client: FlaskClient, path: str) -> None:  # noqa: F811
    assert client.get(path).status_code == 404


def test_records_are_listed_a_page_at_a_time(
    client: FlaskClient,  # noqa: F811
    records: StateServer,
) -> None:
    for number in range(101):
        state.put("domain", f"a{number:03}.zone", {})
    first = client.get(f"{API}/records?kind=domain").get_json()
    assert len(first["records"]) == 100
    rest = client.get(f"{API}/records?kind=domain&after={first['next']}").get_json()
    assert [r["id"] for r in rest["records"]] == ["a100.zone"]
    assert rest["next"] is None
    assert "after=a099.zone" in client.get("/state/?kind=domain").text
    assert client.get(f"{API}/records").status_code == 422


def test_the_overview_counts_and_the_verification_finds(
    client: FlaskClient,  # noqa: F811
    agent: str,
) -> None:
    found = client.get(f"{API}/overview").get_json()
    assert (found["counts"]["agent"], found["integrity"]) == (1, "ok")
    assert found["own"]["seq"] == found["vector"][0]["seq"]
    assert "records are kept" in client.get("/state/").text
    lost = client.get(f"{API}/verification").get_json()["dangling_links"]
    assert lost == ["agent ada/echo: owner leads to no account gone"]
    assert "Not all records" in client.get("/state/verification").text


def test_the_command_prints_and_ends_with_what_it_found(
    client: FlaskClient,  # noqa: F811
    agent: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def call(method: str, path: str, params: object = None) -> object:
        answer = client.open(path, method=method, query_string=params)
        if answer.status_code >= 400:
            raise from_document(answer.get_json())
        return answer.get_json()

    monkeypatch.setattr(cli, "call", call)
    run = CliRunner().invoke
    shown = run(cli.main, ["state", "show", "agent", agent])
    assert json.loads(shown.output)["id"] == agent
    assert agent in run(cli.main, ["state", "list", "agent"]).output
    assert run(cli.main, ["state", "list", "dog"]).exit_code == 1
    verified = run(cli.main, ["state", "verify"])
    assert verified.exit_code == 1
    assert "leads to no account gone" in verified.output


def test_a_developer_walks_the_catalogue_and_what_is_its_own(
    client: FlaskClient,  # noqa: F811
    records: StateServer,
) -> None:
    hashed = accounts.hash_password("correct horse battery")
    accounts.create("bob", hashed, ("developer",))
    for owner in ("bob", "eve"):
        state.put("agent", f"{owner}/echo", {"owner_name": owner})
        state.put("deployment", owner, {"agent": f"{owner}/echo"})
        state.put("instance", owner, {"agent": f"{owner}/echo", "deployment": owner})
    developer = client.application.test_client()
    form = {"name": "bob", "password": "correct horse battery"}
    assert developer.post("/login", data=form).status_code == 303
    assert developer.get(f"{API}/records/agent/eve/echo").status_code == 404
    shares.give("eve/echo", shares.EVERYONE, "call", "")
    allowed = {"agent/eve/echo": [], "agent/bob/echo": ["deployment", "instance"]}
    for path, ends in allowed.items():
        found = developer.get(f"{API}/records/{path}").get_json()
        assert [end["kind"] for end in found["linked_from"]] == ends
    assert developer.get(f"{API}/records/instance/bob").status_code == 200
    for path in ("instance/eve", "deployment/eve"):
        assert developer.get(f"{API}/records/{path}").status_code == 403
        assert developer.get(f"/state/{path}").status_code == 403
    for page in ("/state/verification", "/formnet/", "/api/v1/formnet/network"):
        assert developer.get(page).status_code == 403
