"""Who may call what, for every route; and that nobody else can."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from appliance import audit, operations, runner, shares, state
from appliance.admin import accounts, setup, tokens
from appliance.config import Settings
from blueprints import create_app

from .conftest import PASSWORD, Person

SAFE = {"GET", "HEAD", "OPTIONS"}
OWN_ACCOUNT = ("/account", "/logout", "/api/v1/admin/")  # anybody's own


def routes(app: Flask) -> Iterator[tuple[str, str, Rule, str]]:
    """(method, path, rule, access) of all, with something in each gap."""
    for rule in app.url_map.iter_rules():
        access = vars(app.view_functions[rule.endpoint]).get("access", "")
        path = rule.build(dict.fromkeys(rule.arguments, "start"))
        assert path is not None
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            yield method, path[1], rule, access


def test_every_route_says_who_may_call_it(app: Flask) -> None:
    known = {"public", "account", "user", "developer", "auditor", "operator"}
    for method, path, _, access in routes(app):
        assert access in known, f"{method} {path} says nothing about access"


def test_without_an_account_no_guarded_route_answers(
    app: Flask, ada: Person, nobody: FlaskClient
) -> None:
    for method, path, _, access in routes(app):
        if access != "public":
            answer = nobody.open(path, method=method)
            assert answer.status_code in (302, 401), f"{method} {path}"


def test_an_auditor_changes_nothing(app: Flask, eve: Person) -> None:
    headers = {"X-CSRF-Token": eve.csrf}
    for method, path, rule, access in routes(app):
        if method in SAFE or access == "public":
            continue
        if access == "account" and rule.rule.startswith(OWN_ACCOUNT):
            continue
        answer = eve.browser.open(path, method=method, headers=headers)
        assert answer.status_code == 403, f"{method} {path}"


def test_a_developer_has_none_of_the_operators_routes(app: Flask, bo: Person) -> None:
    headers = {"X-CSRF-Token": bo.csrf}
    for method, path, _, access in routes(app):
        if access in ("operator", "auditor"):
            answer = bo.browser.open(path, method=method, headers=headers)
            assert answer.status_code == 403, f"{method} {path}"


@pytest.fixture
def instance(bo: Person) -> str:
    """An instance of bo's agent, and the operation that made it."""
    body = {
        "agent": "bo/echo",
        "owner_name": "bo",
        "name": "echo",
        "version": "0.1.0",
        "deployment": "d",
        "address": "10.42.0.2",
        "port": 8000,
        "state": "healthy",
        "reason": "",
        "image": "0" * 64,
        "vcpu": 1,
        "memory_mib": 512,
        "disk_gib": 5,
    }
    state.put("agent", "bo/echo", {"owner_name": "bo", "name": "echo", "latest": ""})
    state.put("instance", "i1", body)
    return "i1"


@pytest.fixture
def operation(bo: Person, instance: str) -> str:
    return operations.submit(
        "stop", title="stop echo", subject=instance, params={}, account=bo.account.id
    )


def of(app: Flask, room: str, id_: str) -> Iterator[tuple[str, str]]:
    """Routes of a room about one thing, with that thing's id."""
    verbs = {"verb": "stop"}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith(f"{room}.") and rule.arguments:
            path = rule.build({"id_": id_} | verbs)
            assert path is not None
            for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
                yield method, path[1]


def followed(view: str, id_: str) -> Iterator[tuple[str, str]]:
    """Where a page about one thing is kept up to date."""
    for end in ("events", "parts"):
        yield "GET", f"/live/{end}?view={view}&of={id_}"


def test_another_developers_instance_is_out_of_reach(
    app: Flask, cy: Person, instance: str
) -> None:
    headers = {"X-CSRF-Token": cy.csrf}
    found = [*of(app, "vmm", instance), *followed("instance", instance)]
    assert len(found) >= 8
    for method, path in found:
        answer = cy.browser.open(path, method=method, headers=headers)
        assert answer.status_code == 403, f"{method} {path}"
    assert cy.get(f"/api/v1/state/records/instance/{instance}") == 403
    assert cy.browser.get("/api/v1/vmm/instances").get_json() == {"instances": []}
    assert "10.42.0.2" not in cy.browser.get("/vmm/").text
    assert "10.42.0.2" not in cy.browser.get("/").text
    for view in ("dashboard", "instances"):
        parts = cy.browser.get(f"/live/parts?view={view}").get_json()["fragments"]
        assert "10.42.0.2" not in str(parts)
    measured = cy.browser.get(f"/api/v1/admin/metrics?subject={instance}&metric=cpu")
    assert measured.status_code == 403


def test_another_developers_operation_is_out_of_reach(
    app: Flask, cy: Person, operation: str
) -> None:
    headers = {"X-CSRF-Token": cy.csrf}
    found = [*of(app, "operations", operation), *followed("operation", operation)]
    assert len(found) >= 8
    for method, path in found:
        answer = cy.browser.open(path, method=method, headers=headers)
        assert answer.status_code == 403, f"{method} {path}"
    assert cy.browser.get("/api/v1/operations").get_json() == {"operations": []}
    assert not operations.get(operation).cancel


def test_who_may_call_an_agent_finds_it_but_not_where_its_instances_are(
    cy: Person, eve: Person, instance: str
) -> None:
    shares.give("bo/echo", cy.account.id, "call", "")
    for reader, shown in ((cy, 0), (eve, 1)):
        found = reader.browser.get("/api/v1/market/agents").get_json()["agents"]
        assert [agent["id"] for agent in found] == ["bo/echo"]
        page = reader.browser.get("/market/bo/echo").text
        assert page.count("10.42.0.2") == shown
        assert "healthy" in page


def test_another_developers_secrets_and_versions_are_out_of_reach(
    cy: Person, instance: str
) -> None:
    headers = {"X-CSRF-Token": cy.csrf}
    agent = "/api/v1/market/agents/bo/echo"
    for method, path in (
        ("GET", f"{agent}/secrets"),
        ("PUT", f"{agent}/secrets/KEY"),
        ("DELETE", f"{agent}/secrets/KEY"),
        ("PUT", f"{agent}/versions/1.0.0"),
        ("POST", "/market/bo/echo/secrets"),
        ("POST", "/market/bo/echo/secrets/KEY/remove"),
    ):
        answer = cy.browser.open(path, method=method, headers=headers)
        assert answer.status_code == 403, f"{method} {path}"


def test_the_owner_does_what_others_may_not(
    bo: Person, instance: str, operation: str
) -> None:
    assert bo.get(f"/vmm/{instance}") == 200
    assert bo.get(f"/api/v1/state/records/instance/{instance}") == 200
    assert bo.get(f"/operations/{operation}") == 200
    assert bo.post(f"/vmm/{instance}/stop") == 409  # it is being stopped
    assert bo.post(f"/vmm/{instance}/delete") == 303
    assert bo.post(f"/operations/{operation}/cancel") == 303
    assert operations.get(operation).cancel


def test_an_operator_does_everything_and_its_owner_sees_it(
    ada: Person, bo: Person, cy: Person, instance: str
) -> None:
    answer = ada.browser.post(
        f"/api/v1/vmm/instances/{instance}/stop", headers={"X-CSRF-Token": ada.csrf}
    )
    made = answer.get_json()["id"]
    assert answer.status_code == 202
    assert bo.get(f"/api/v1/operations/{made}") == 200
    assert cy.get(f"/api/v1/operations/{made}") == 403


def test_an_auditor_reads_all_and_is_shown_no_buttons(
    eve: Person, instance: str, operation: str
) -> None:
    assert eve.get(f"/api/v1/vmm/instances/{instance}/console") == 200
    for path in (f"/vmm/{instance}", f"/operations/{operation}", "/market/bo/echo"):
        page = eve.browser.get(path)
        assert page.status_code == 200
        forms = page.text.count("<form")
        assert forms == page.text.count('action="/logout"'), path
    for path in ("/", "/vmm/", "/market/"):
        assert "/pack/deploy" not in eve.browser.get(path).text, path


def test_an_operation_is_refused_once_its_accounts_right_has_ended(
    bo: Person, instance: str, operation: str
) -> None:
    from appliance.admin.rights import authorise

    accounts.disable("bo")
    runner.execute(operation, "w", authorise=authorise)
    row = operations.get(operation)
    assert row.state == "failed"
    assert "gone or disabled" in json.loads(row.error or "{}")["detail"]
    noted = audit.rows(1)[0]
    assert (noted.account, noted.outcome) == (bo.account.id, "refused")
    record = state.find("instance", instance)
    assert record and record.body["state"] == "healthy"


def log_in(client: FlaskClient, password: str = PASSWORD) -> int:
    form = {"name": "ada", "password": password}
    return client.post("/login", data=form).status_code


def test_a_session_reads_pages_but_changes_need_its_token(ada: Person) -> None:
    assert ada.get("/") == 200
    refused = ada.browser.post("/api/v1/pack/check", data="NAME a")
    assert refused.status_code == 403
    assert refused.get_json()["type"] == "/problems/csrf"
    answer = ada.browser.post(
        "/api/v1/pack/check", data="NAME a", headers={"X-CSRF-Token": ada.csrf}
    )
    assert answer.get_json()[0]["directive"] == "ENTRYPOINT"


@pytest.mark.parametrize("sent", ["", "x", "ä", "\0"])
def test_a_wrong_token_is_refused_whatever_it_is(ada: Person, sent: str) -> None:
    answer = ada.browser.post("/account/tokens", data={"csrf": sent})
    assert answer.status_code == 403


def test_an_api_token_is_an_account(ada: Person, nobody: FlaskClient) -> None:
    answer = nobody.get("/api/v1/vmm/instances", headers=ada.bearer())
    assert answer.get_json() == {"instances": []}
    wrong = {"Authorization": "Bearer form_wrong"}
    assert nobody.get("/api/v1/vmm/instances", headers=wrong).status_code == 401


def test_headers_that_claim_to_be_local_count_for_nothing(
    ada: Person, nobody: FlaskClient
) -> None:
    headers = {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"}
    assert nobody.get("/api/v1/vmm/instances", headers=headers).status_code == 401


def test_under_another_sites_name_nothing_answers(
    ada: Person, nobody: FlaskClient
) -> None:
    evil = {"Host": "rebound.evil.example:8443", "X-Forwarded-Host": "localhost"}
    for path in ("/", "/login", "/healthz", "/static/look.css", "/api/v1/x"):
        assert nobody.get(path, headers=evil).status_code == 421, path
    answer = ada.browser.get("/api/v1/vmm/instances", headers=evil | ada.bearer())
    assert answer.status_code == 421
    assert "rebound.evil.example" in answer.get_json()["detail"]


def test_a_log_in_under_another_sites_name_is_refused_and_noted(
    ada: Person, nobody: FlaskClient
) -> None:
    form = {"name": "ada", "password": PASSWORD}
    answer = nobody.post("/login", data=form, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "Set-Cookie" not in answer.headers
    assert audit.rows(1)[0].outcome == "refused"


def test_forwarded_host_does_not_make_a_name_good_or_bad(nobody: FlaskClient) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    assert nobody.get("/healthz", headers=headers).status_code != 421


def test_after_set_up_its_pages_are_gone(ada: Person, nobody: FlaskClient) -> None:
    assert nobody.get("/setup/").status_code == 410
    assert nobody.post("/setup/claim").status_code == 410


def test_unknown_things_are_problem_documents(ada: Person) -> None:
    for path in ("/api/v1/vmm/instances/x", "/api/v1/market/tasks/x", "/api/v1/x"):
        answer = ada.browser.get(path)
        assert answer.status_code == 404
        assert answer.mimetype == "application/problem+json"
    for path in ("/market/", "/vmm/", "/dns/", "/services/", "/pack/deploy"):
        assert ada.get(path) == 200


def test_the_wizard_refuses_a_wrong_code_and_weak_passwords(settings: Settings) -> None:
    client = create_app().test_client()
    code = setup.new_claim(settings)
    assert client.get("/setup/node").status_code == 302
    assert client.post("/setup/claim", data={"code": "no"}).status_code == 422
    assert client.post("/setup/claim", data={"code": code}).status_code == 303
    weak = {"name": "ada", "password": "password123", "again": "password123"}
    answer = client.post("/setup/account", data=weak)
    assert answer.status_code == 422
    assert "Too easily guessed" in answer.text
    wrong = {"name": "a b", "password": "short", "again": "shirt"}
    answer = client.post("/setup/account", data=wrong)
    for beside in ("a-z, 0-9 and - only.", "At least 10", "Not the same."):
        assert beside in answer.text


@pytest.mark.parametrize(
    ("scopes", "method", "path", "allowed"),
    [
        (["read"], "GET", "/api/v1/vmm/instances", True),
        (["read"], "POST", "/api/v1/pack/deployments", False),
        (["read"], "POST", "/api/v1/market/agents/x/run_task", False),
        (["read"], "GET", "/api/v1/market/tasks", False),
        (["tasks"], "GET", "/api/v1/market/tasks", True),
        (["tasks"], "GET", "/api/v1/market/agents", True),
        (["tasks"], "GET", "/api/v1/vmm/instances", False),
        (["tasks"], "GET", "/api/v1/admin/audit", False),
        (["deploy"], "GET", "/api/v1/vmm/instances", True),
        (["deploy"], "POST", "/api/v1/pack/check", True),
        (["deploy"], "POST", "/api/v1/admin/tokens", False),
        (["deploy"], "POST", "/api/v1/admin/accounts", False),
        (["read", "tasks"], "GET", "/api/v1/market/tasks", True),
        (["admin"], "GET", "/api/v1/admin/accounts", True),
    ],
)
def test_a_token_has_no_more_than_its_scopes(
    ada: Person,
    nobody: FlaskClient,
    scopes: list[str],
    method: str,
    path: str,
    allowed: bool,
) -> None:
    answer = nobody.open(path, method=method, headers=ada.bearer(*scopes))
    assert (answer.status_code != 403) == allowed


def test_a_token_has_no_more_than_its_owner(
    bo: Person, eve: Person, nobody: FlaskClient
) -> None:
    for person, status in ((bo, 403), (eve, 200)):
        answer = nobody.get("/api/v1/admin/accounts", headers=person.bearer("admin"))
        assert answer.status_code == status
    accounts.disable("eve")
    token, _ = tokens.create(eve.account, "late", ["read"])
    late = {"Authorization": f"Bearer {token}"}
    assert nobody.get("/api/v1/vmm/instances", headers=late).status_code == 401
