"""Who may call what, for every route; and that nobody else can."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.admin import accounts, setup
from appliance.config import Settings
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import create_app

PASSWORD = "correct horse battery"  # noqa: S105


@pytest.fixture
def app(settings: Settings, records: StateServer) -> Flask:
    return create_app()


@pytest.fixture
def operator(app: Flask, settings: Settings) -> accounts.Account:
    choose(settings, [])
    hashed = accounts.hash_password(PASSWORD)
    return accounts.create("ada", hashed, ("operator",))


@pytest.fixture
def client(app: Flask, operator: accounts.Account) -> FlaskClient:
    return app.test_client()


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    known = {"public", "account", "developer", "auditor", "operator"}
    for rule in app.url_map.iter_rules():
        access = vars(app.view_functions[rule.endpoint]).get("access")
        assert access in known, f"{rule} says nothing about access"


def test_without_an_account_no_guarded_route_answers(
    app: Flask, client: FlaskClient
) -> None:
    for rule in app.url_map.iter_rules():
        if vars(app.view_functions[rule.endpoint])["access"] == "public":
            continue
        path = rule.build(dict.fromkeys(rule.arguments, "start"))
        assert path is not None
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            answer = client.open(path[1], method=method)
            assert answer.status_code in (302, 401), f"{method} {path[1]}"


def log_in(client: FlaskClient, password: str = PASSWORD) -> int:
    form = {"name": "ada", "password": password}
    return client.post("/login", data=form).status_code


def test_a_session_reads_pages_but_changes_need_its_token(client: FlaskClient) -> None:
    assert log_in(client) == 303
    assert client.get("/").status_code == 200
    refused = client.post("/api/v1/pack/check", data="NAME a")
    assert refused.status_code == 403
    assert refused.get_json()["type"] == "/problems/csrf"
    row = accounts.Session.get()
    answer = client.post(
        "/api/v1/pack/check", data="NAME a", headers={"X-CSRF-Token": row.csrf}
    )
    assert answer.get_json()[0]["directive"] == "ENTRYPOINT"


def test_failed_logins_are_throttled(client: FlaskClient, settings: Settings) -> None:
    for _ in range(settings.auth.attempts):
        assert log_in(client, "wrong") == 401
    assert log_in(client) == 429


def test_an_api_token_is_an_account(
    client: FlaskClient, operator: accounts.Account
) -> None:
    token = accounts.new_token(operator, "ci")
    bearer = {"Authorization": f"Bearer {token}"}
    answer = client.get("/api/v1/vmm/instances", headers=bearer)
    assert answer.get_json() == {"instances": []}
    wrong = {"Authorization": "Bearer form_wrong"}
    assert client.get("/api/v1/vmm/instances", headers=wrong).status_code == 401


def test_headers_that_claim_to_be_local_count_for_nothing(client: FlaskClient) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"}
    assert client.get("/api/v1/vmm/instances", headers=headers).status_code == 401


def test_after_set_up_its_pages_are_gone(client: FlaskClient) -> None:
    assert client.get("/setup/").status_code == 410
    assert client.post("/setup/claim").status_code == 410


def test_unknown_things_are_problem_documents(client: FlaskClient) -> None:
    log_in(client)
    for path in ("/api/v1/vmm/instances/x", "/api/v1/market/tasks/x", "/api/v1/x"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.mimetype == "application/problem+json"
    for path in ("/market/", "/vmm/", "/dns/", "/services/", "/pack/deploy"):
        assert client.get(path).status_code == 200


def test_the_wizard_refuses_a_wrong_code_and_weak_passwords(
    app: Flask, settings: Settings
) -> None:
    client = app.test_client()
    code = setup.new_claim(settings)
    assert client.get("/setup/node").status_code == 302
    assert client.post("/setup/claim", data={"code": "no"}).status_code == 422
    assert client.post("/setup/claim", data={"code": code}).status_code == 303
    weak = {"name": "ada", "password": "password123", "again": "password123"}
    answer = client.post("/setup/account", data=weak)
    assert answer.status_code == 422
    assert "Too easily guessed" in answer.text
