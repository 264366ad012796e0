"""Dangerous acts ask sessions for the password again, and go on with what was typed."""

from __future__ import annotations

from collections.abc import Iterator

import pyotp
import pytest
from flask import Flask

from appliance import audit, clock, config, shares, state
from appliance.admin import accounts, second_factor, settings_file, tokens
from appliance.admin.sessions import Session
from appliance.config import Settings

from .conftest import PASSWORD, Person

PROOF = "/api/v1/admin/account/proof"
DANGEROUS = {
    ("POST", "/admin/accounts"),
    ("POST", "/admin/accounts/cy/roles"),
    ("POST", "/admin/accounts/cy/disable"),
    ("POST", "/admin/accounts/cy/password"),
    ("POST", "/admin/accounts/cy/delete"),
    ("POST", "/admin/accounts/cy/second-factor/off"),
    ("POST", "/account/second-factor"),
    ("POST", "/account/second-factor/confirm"),
    ("POST", "/account/second-factor/off"),
    ("POST", "/account/password"),
    ("POST", "/account/tokens"),
    ("POST", "/market/bo/echo/secrets"),
    ("POST", "/market/bo/echo/secrets/KEY/remove"),
    ("POST", "/market/bo/echo/delete"),
    ("POST", "/vmm/volumes/bo/echo/data/delete"),
    ("POST", "/admin/settings"),
}
FORM = {
    "name": "x",
    "roles": "user",
    "scopes": "admin",
    "days": "1",
    "new": "four random words here",
    "again": "four random words here",
    "present": PASSWORD,
    "value": "v",
    "confirm": "bo/echo",
    "volumes": "1",
    "text": "[auth]\nattempts = 7\n",
}
API = (
    ("POST", "/accounts", {"name": "x", "roles": ["user"]}),
    ("PATCH", "/accounts/cy", {"disabled": True}),
    ("POST", "/accounts/cy/password", None),
    ("DELETE", "/accounts/cy", None),
    ("DELETE", "/accounts/cy/second-factor", None),
    ("POST", "/account/second-factor", None),
    ("POST", "/account/password", {"present": PASSWORD, "new": "four random words"}),
    ("POST", "/tokens", {"name": "x", "scopes": ["deploy"]}),
    ("PATCH", "/settings", {"changes": {"http.port": "8181"}}),
)


@pytest.fixture
def agent(bo: Person, cy: Person) -> str:
    body = {"owner": bo.account.id, "owner_name": "bo", "name": "echo", "latest": "1"}
    state.put("agent", "bo/echo", body)
    return "bo/echo"


@pytest.fixture
def stale(ada: Person, settings: Settings) -> Iterator[Person]:
    """The operator, whose session proved nothing for longer than it counts."""
    age(settings)
    yield ada


def age(settings: Settings) -> None:
    then = clock.now() - settings.auth.proof_minutes * 60 - 1
    Session.update(proved=then).execute()


def headers(who: Person) -> dict[str, str]:
    found = settings_file.read()
    return {"X-CSRF-Token": who.csrf, "If-Match": f'"{found.tag}"'}


def everything(settings: Settings) -> object:
    """What dangerous acts would change."""
    return (
        [(r.name, r.roles, r.disabled, r.password_hash) for r in accounts.everyone()],
        tokens.ApiToken.select().count(),
        second_factor.SecondFactor.select().count(),
        settings_file.read().text,
    )


@pytest.mark.parametrize(("method", "path"), sorted(DANGEROUS))
def test_a_dangerous_page_asks_first_and_keeps_what_was_typed(
    settings: Settings, agent: str, stale: Person, method: str, path: str
) -> None:
    age(settings)
    before = everything(settings)
    form = {**FORM, "tag": settings_file.read().tag, "csrf": stale.csrf}
    if path.startswith("/vmm"):
        form["confirm"] = "bo/echo"
    answer = stale.browser.open(path, method=method, data=form)
    if path.startswith("/vmm"):  # there is no such volume, which is said first
        assert answer.status_code in (403, 404, 503)
        return
    assert answer.status_code == 403
    assert "Is it you?" in answer.text
    assert f'action="{path}"' in answer.text
    for key, value in form.items():
        if key != "csrf":
            assert f'name="{key}"' in answer.text, key
            assert value.split("\n")[0] in answer.text, key
    assert everything(settings) == before


@pytest.mark.parametrize(("method", "path", "body"), API)
def test_the_api_says_what_is_needed(
    settings: Settings,
    agent: str,
    stale: Person,
    method: str,
    path: str,
    body: object,
) -> None:
    age(settings)
    before = everything(settings)
    answer = stale.browser.open(
        f"/api/v1/admin{path}", method=method, json=body, headers=headers(stale)
    )
    assert answer.status_code == 403
    assert answer.get_json()["type"] == "/problems/proof-needed"
    assert PROOF in answer.get_json()["detail"]
    assert everything(settings) == before


def test_by_the_api_one_proves_it_and_goes_on(
    settings: Settings, stale: Person
) -> None:
    wish = {"name": "x", "scopes": ["admin"]}

    def make() -> int:
        path = "/api/v1/admin/tokens"
        found = stale.browser.post(path, json=wish, headers=headers(stale))
        return found.status_code

    def prove(**body: str) -> int:
        return stale.browser.post(PROOF, json=body, headers=headers(stale)).status_code

    assert make() == 403
    assert prove(password="wrong") == 422
    assert make() == 403
    assert prove(password=PASSWORD) == 200
    assert make() == 201
    age(settings)
    assert make() == 403


def test_the_form_goes_on_with_what_was_asked(stale: Person) -> None:
    form = {"csrf": stale.csrf, "name": "hal", "roles": ["developer", "auditor"]}
    asked = stale.browser.post("/admin/accounts", data=form)
    assert asked.text.count('name="roles"') == 2
    wrong = stale.browser.post(
        "/admin/accounts", data={**form, "proof_password": "wrong"}
    )
    assert wrong.status_code == 403
    assert "That is not your password." in wrong.text
    assert 'value="hal"' in wrong.text
    assert "wrong" not in wrong.text.replace("wrong;", "")
    assert not accounts.exists("hal")
    done = stale.browser.post(
        "/admin/accounts", data={**form, "proof_password": PASSWORD}
    )
    assert done.status_code == 200
    assert accounts.find(accounts.credential("hal").account)
    assert stale.post("/admin/accounts", name="joy", roles="user") == 200


def test_where_there_is_a_second_factor_its_code_is_needed_too(
    settings: Settings, ada: Person
) -> None:
    secret = second_factor.begin(ada.account.id)
    totp = pyotp.TOTP(secret)
    now = int(clock.now())
    second_factor.confirm(ada.account.id, "ada", totp.at(now - 30), "192.0.2.1")
    age(settings)
    form = {"csrf": ada.csrf, "name": "hal", "roles": "user"}
    path = "/admin/accounts"
    assert "authenticator" in ada.browser.post(path, data=form).text
    for code in ("", "000000"):
        typed = {"proof_password": PASSWORD, "proof_code": code}
        assert ada.browser.post(path, data=form | typed).status_code == 403
    assert not accounts.exists("hal")
    typed = {"proof_password": PASSWORD, "proof_code": totp.at(now)}
    assert ada.browser.post(path, data=form | typed).status_code == 200
    assert accounts.exists("hal")


def test_guessing_at_the_form_is_throttled(
    stale: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_AUTH__ATTEMPTS", "2")
    config.settings.cache_clear()
    form = {"csrf": stale.csrf, "name": "hal", "roles": "user"}
    for _ in range(3):
        answer = stale.browser.post(
            "/admin/accounts", data={**form, "proof_password": "guess"}
        )
        assert answer.status_code == 403
    assert "Too many failed attempts" in answer.text
    right = {**form, "proof_password": PASSWORD}
    assert stale.browser.post("/admin/accounts", data=right).status_code == 403
    assert not accounts.exists("hal")


def test_tokens_are_not_asked(
    settings: Settings, stale: Person, app: Flask, agent: str
) -> None:
    bearer = stale.bearer("admin")
    client = app.test_client()
    body = {"name": "x", "roles": ["user"]}
    made = client.post("/api/v1/admin/accounts", json=body, headers=bearer)
    assert made.status_code == 201
    proved = client.post(PROOF, json={"password": PASSWORD}, headers=bearer)
    assert proved.status_code == 409
    narrow = client.delete("/api/v1/admin/accounts/x", headers=stale.bearer("deploy"))
    assert narrow.get_json()["type"] == "/problems/not-allowed"


def test_what_is_not_dangerous_is_not_asked_for(
    settings: Settings, bo: Person, agent: str
) -> None:
    age(settings)
    path = "/market/bo/echo"
    assert bo.post("/account/tokens", name="x", scopes="read") == 200
    assert bo.post(f"{path}/secrets/KEY/remove") == 404  # its own
    assert bo.post(f"{path}/delete", confirm="bo/echo") == 303  # volumes stay


def test_who_manages_anothers_agent_is_asked_before_its_secrets_change(
    settings: Settings, cy: Person, agent: str
) -> None:
    shares.give(agent, cy.account.id, "manage", "")
    age(settings)
    assert cy.post("/market/bo/echo/secrets", name="KEY", value="v") == 403


def test_asking_is_no_refusal_but_a_wrong_password_is(stale: Person) -> None:
    count = audit.count()
    assert stale.post("/admin/accounts", name="hal", roles="user") == 403
    assert audit.count() == count
    form = {"name": "hal", "roles": "user", "proof_password": "wrong"}
    assert stale.post("/admin/accounts", **form) == 403
    assert audit.rows(1)[0].outcome == "refused"


def test_a_fragment_is_asked_in_the_place_of_the_page(stale: Person) -> None:
    form = {"csrf": stale.csrf, "name": "hal", "roles": "user"}
    answer = stale.browser.post(
        "/admin/accounts", data=form, headers={"HX-Request": "true"}
    )
    assert answer.headers["Proof-Needed"] == "1"
    assert answer.headers["HX-Retarget"] == "main"
    assert "<main" in answer.text


def test_settings_that_let_nobody_in_are_changed_without_a_proof(stale: Person) -> None:
    text, tag = "[dns]\nport = 5353\n", settings_file.read().tag
    assert stale.post("/admin/settings", text=text, tag=tag) == 303


def test_a_log_in_is_a_proof(app: Flask, stale: Person) -> None:
    client = app.test_client()
    form = {"name": "ada", "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 303
    newest = Session.select().order_by(Session.created.desc()).first()
    body = {"name": "x", "scopes": ["admin"]}
    answer = client.post(
        "/api/v1/admin/tokens", json=body, headers={"X-CSRF-Token": newest.csrf}
    )
    assert answer.status_code == 201
