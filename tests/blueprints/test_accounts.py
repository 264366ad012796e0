"""Accounts and one's own account: pages, API, and log-in itself."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from appliance import state
from appliance.admin import accounts, sessions, throttle, tokens
from appliance.config import Settings

from .conftest import PASSWORD, Person, accepted_by

API = "/api/v1/admin"
OTHER = "staple under the moon"


def log_in(client: FlaskClient, name: str, password: str, **headers: str) -> int:
    form = {"name": name, "password": password}
    return client.post("/login", data=form, headers=headers).status_code


def test_failed_logins_are_throttled(
    ada: Person, nobody: FlaskClient, settings: Settings
) -> None:
    for _ in range(settings.auth.attempts):
        assert log_in(nobody, "ada", "wrong") == 401
    answer = nobody.post("/login", data={"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert "wait ten minutes" in answer.text


def test_a_log_in_makes_a_new_session_and_ends_the_old(
    ada: Person, nobody: FlaskClient
) -> None:
    assert log_in(nobody, "ada", PASSWORD) == 303
    first = nobody.get_cookie("formation")
    assert log_in(nobody, "ada", PASSWORD) == 303
    second = nobody.get_cookie("formation")
    assert first and second and first.value != second.value
    assert sessions.find(first.value) is None
    assert sessions.find(second.value)


def test_a_cookie_that_was_planted_is_no_session(
    ada: Person, nobody: FlaskClient
) -> None:
    nobody.set_cookie("formation", "planted")
    assert log_in(nobody, "ada", PASSWORD) == 303
    assert sessions.find("planted") is None


@pytest.fixture
def by_caddy(settings: Settings) -> Iterator[dict[str, socket.socket]]:
    """The environment of a request that Caddy passed on."""
    with accepted_by(settings.run_dir / "web.sock") as link:
        yield {"gunicorn.socket": link}


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
def test_a_cookie_is_secure_where_the_browser_came_by_tls(
    ada: Person,
    nobody: FlaskClient,
    by_caddy: dict[str, socket.socket],
    scheme: str,
    secure: bool,
) -> None:
    answer = nobody.post(
        "/login",
        data={"name": "ada", "password": PASSWORD},
        headers={"X-Forwarded-Proto": scheme, "X-Forwarded-For": "192.0.2.5"},
        environ_overrides=by_caddy,
    )
    cookie = answer.headers["Set-Cookie"]
    assert ("Secure" in cookie) == secure
    assert cookie.startswith("__Host-formation=" if secure else "formation=")
    assert "Path=/;" in cookie and "Domain" not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert throttle.is_known("ada", "192.0.2.5")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
    ],
)
def test_another_sites_page_logs_nobody_in(
    ada: Person, nobody: FlaskClient, headers: dict[str, str], status: int
) -> None:
    assert log_in(nobody, "ada", PASSWORD, **headers) == status
    assert (nobody.get_cookie("formation") is not None) == (status == 303)


def test_another_site_changes_nothing_even_with_the_token(ada: Person) -> None:
    answer = ada.browser.post(
        "/account/sessions/end",
        data={"csrf": ada.csrf},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403
    assert "Another site" in answer.text


def test_an_operator_adds_an_account_and_hands_over_a_link(
    ada: Person, nobody: FlaskClient
) -> None:
    form = {"csrf": ada.csrf, "name": "Dev", "roles": ["developer"], "password": ""}
    page = ada.browser.post("/admin/accounts", data=form)
    assert page.status_code == 200
    link = re.search(r"http://localhost(/password/[\w-]+)", page.text)
    assert link
    assert log_in(nobody, "dev", "") == 401
    assert nobody.get(link[1]).status_code == 200
    unlike = nobody.post(link[1], data={"password": OTHER, "again": "x"})
    assert (unlike.status_code, "Not the same" in unlike.text) == (422, True)
    weak = nobody.post(link[1], data={"password": "devdevdevdev", "again": ""})
    assert weak.status_code == 422
    assert nobody.post(link[1], data={"password": OTHER, "again": OTHER}).location
    assert nobody.get(link[1]).status_code == 404
    assert log_in(nobody, "dev", OTHER) == 303


def test_mistakes_stand_beside_their_fields(ada: Person, bo: Person) -> None:
    for form, said in (
        ({"name": "a b", "roles": ["developer"]}, "a-z, 0-9 and - only."),
        ({"name": "dev", "roles": []}, "Choose one or more."),
        ({"name": "bo", "roles": ["developer"]}, "There is an account bo already."),
        (
            {"name": "dev", "roles": ["developer"], "password": "password123"},
            "Too easily guessed.",
        ),
    ):
        page = ada.browser.post("/admin/accounts", data={"csrf": ada.csrf, **form})
        assert page.status_code == 422
        assert said in page.text
    assert [row.name for row in accounts.everyone()] == ["ada", "bo"]


def test_what_a_deletion_leaves_is_said_first(ada: Person, bo: Person) -> None:
    state.put("agent", "bo/echo", {"owner_name": "bo", "name": "echo"})
    page = ada.browser.get("/admin/accounts/bo").text
    assert "Its 1 agent and 0 instances go on" in page
    assert ada.post("/admin/accounts/bo/delete") == 303
    assert bo.get("/") == 302


def test_the_last_operator_is_told_so(ada: Person) -> None:
    for verb, form in (
        ("delete", {}),
        ("disable", {}),
        ("roles", {"roles": ["auditor"]}),
    ):
        page = ada.browser.post(
            f"/admin/accounts/ada/{verb}", data={"csrf": ada.csrf, **form}
        )
        assert page.status_code == 422
        assert "last operator" in page.text


def test_accounts_by_api(ada: Person, nobody: FlaskClient) -> None:
    def call(method: str, path: str, **more: object) -> object:
        headers = ada.bearer("admin")
        return nobody.open(f"{API}{path}", method=method, headers=headers, **more)

    made = call("POST", "/accounts", json={"name": "dev", "roles": ["developer"]})
    assert made.status_code == 201
    assert made.get_json()["set_password"].startswith("/password/")
    changed = call("PATCH", "/accounts/dev", json={"roles": ["auditor"]})
    assert changed.get_json()["roles"] == ["auditor"]
    assert call("PATCH", "/accounts/dev", json={"disabled": True}).get_json()[
        "disabled"
    ]
    assert call("POST", "/accounts/dev/password").get_json()["set_password"]
    names = [a["name"] for a in call("GET", "/accounts").get_json()["accounts"]]
    assert names == ["ada", "dev"]
    assert "hash" not in call("GET", "/accounts/dev").text
    gone = call("DELETE", "/accounts/dev").get_json()
    assert gone == {"deleted": "dev", "left_behind": {"agent": 0, "instance": 0}}
    assert call("GET", "/accounts/dev").status_code == 404
    assert call("DELETE", "/accounts/ada").status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/accounts", None),
        ("POST", "/accounts", []),
        ("POST", "/accounts", {"name": "x"}),
        ("POST", "/accounts", {"name": 1, "roles": ["developer"]}),
        ("POST", "/accounts", {"name": "x", "roles": "developer"}),
        ("POST", "/accounts", {"name": "x", "roles": [1]}),
        ("POST", "/accounts", {"name": "x", "roles": ["developer"], "password": 1}),
        ("PATCH", "/accounts/ada", {}),
        ("PATCH", "/accounts/ada", {"name": "x"}),
        ("PATCH", "/accounts/ada", {"disabled": "yes"}),
        ("POST", "/tokens", {"name": "x"}),
        ("POST", "/tokens", {"name": "x", "scopes": "read"}),
        ("POST", "/tokens", {"name": "x", "scopes": ["read"], "days": "1"}),
        ("POST", "/tokens", {"name": "x", "scopes": ["read"], "days": True}),
        ("POST", "/account/password", {"present": "x"}),
        ("POST", "/account/password", {"present": ["x"], "new": "y"}),
    ],
)
def test_nonsense_is_422_and_changes_nothing(
    ada: Person, nobody: FlaskClient, method: str, path: str, body: object
) -> None:
    headers = ada.bearer("admin")
    answer = nobody.open(f"{API}{path}", method=method, headers=headers, json=body)
    assert answer.status_code == 422
    assert [row.name for row in accounts.everyone()] == ["ada"]
    assert len(tokens.of(ada.account.id)) == 1


def test_an_operator_revokes_anothers_token(ada: Person, bo: Person) -> None:
    _, row = tokens.create(bo.account, "ci", ["read"])
    assert bo.post(f"/admin/accounts/bo/tokens/{row.id}/revoke") == 403
    assert ada.post(f"/admin/accounts/bo/tokens/{row.id}/revoke") == 303
    assert tokens.of(bo.account.id) == []


def test_anothers_tokens_are_filtered_and_sorted(ada: Person, bo: Person) -> None:
    for name in ("ci", "backup", "grafana", "robot", "cron", "phone"):
        tokens.create(bo.account, name, ["read"])
    here = "/admin/accounts/bo"
    page = ada.browser.get(f"{here}?sort=name").text
    assert page.index("<td>backup") < page.index("<td>ci") < page.index("<td>robot")
    page = ada.browser.get(f"{here}?q=ROB").text
    assert "<td>robot" in page and "<td>cron" not in page
    assert f'<a href="{here}">Show all' in ada.browser.get(f"{here}?q=nowhere").text


def test_one_changes_ones_password_and_other_browsers_are_out(
    bo: Person, nobody: FlaskClient
) -> None:
    assert log_in(nobody, "bo", PASSWORD) == 303
    wrong = {"present": "x", "new": OTHER, "again": OTHER}
    assert bo.post("/account/password", **wrong) == 422
    assert bo.post("/account/password", **wrong | {"again": "y"}) == 422
    assert nobody.get("/account").status_code == 200
    assert bo.post("/account/password", **wrong | {"present": PASSWORD}) == 200
    assert bo.get("/account") == 200
    assert nobody.get("/account").status_code == 302


def test_guessing_the_present_password_is_throttled(
    bo: Person, settings: Settings
) -> None:
    form = {"present": "x", "new": OTHER, "again": OTHER}
    for _ in range(settings.auth.attempts):
        assert bo.post("/account/password", **form) == 422
    assert bo.post("/account/password", **form | {"present": PASSWORD}) == 429


def test_ones_sessions_are_shown_and_ended(bo: Person, nobody: FlaskClient) -> None:
    agent = "Mozilla/5.0 (Windows) Firefox/1"
    assert log_in(nobody, "bo", PASSWORD, **{"User-Agent": agent}) == 303
    assert "Firefox on Windows" in bo.browser.get("/account").text
    found = bo.browser.get(f"{API}/sessions").get_json()["sessions"]
    (other,) = (item["id"] for item in found if not item["is_this"])
    assert bo.post(f"/account/sessions/{other}/end") == 303
    assert nobody.get("/account").status_code == 302
    assert bo.get("/account") == 200
    assert log_in(nobody, "bo", PASSWORD) == 303
    assert bo.post("/account/sessions/end") == 303
    assert nobody.get("/account").status_code == 302


def test_another_accounts_session_is_out_of_reach(bo: Person, cy: Person) -> None:
    mine = sessions.of(cy.account.id)[0].id
    assert bo.post(f"/account/sessions/{mine}/end") == 404
    assert cy.get("/account") == 200


def test_a_token_is_shown_once(bo: Person) -> None:
    form = {"csrf": bo.csrf, "name": "ci", "scopes": ["read"], "days": "30"}
    page = bo.browser.post("/account/tokens", data=form).text
    token = re.search(r"form_[\w-]{43}", page)
    assert token and tokens.find(token[0])
    assert token[0] not in bo.browser.get("/account").text
    (row,) = tokens.of(bo.account.id)
    assert bo.post(f"/account/tokens/{row.id}/revoke") == 303
    assert tokens.find(token[0]) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "what it is for"),
        ({"scopes": []}, "One or more of"),
        ({"days": "soon"}, "A whole number"),
        ({"days": "0"}, "1 to 3650 days"),
    ],
)
def test_mistakes_of_a_token_are_said(
    bo: Person, wrong: dict[str, object], said: str
) -> None:
    form = {"csrf": bo.csrf, "name": "ci", "scopes": ["read"], "days": "30"} | wrong
    page = bo.browser.post("/account/tokens", data=form)
    assert page.status_code == 422
    assert said in page.text
    assert tokens.of(bo.account.id) == []


def test_a_tokens_token_has_no_more(bo: Person, nobody: FlaskClient) -> None:
    short, _ = tokens.create(bo.account, "short", ["admin"], days=1)
    headers = {"Authorization": f"Bearer {short}"}
    for days, status in ((None, 403), (2, 403), (1, 403)):
        body = {"name": "x", "scopes": ["read"], "days": days}
        answer = nobody.post(f"{API}/tokens", json=body, headers=headers)
        assert answer.status_code == status


@pytest.fixture
def pages(ada: Person, bo: Person, eve: Person) -> Callable[[], list[str]]:
    return lambda: ["/admin/accounts", "/admin/accounts/bo", "/account", "/admin/audit"]


def test_every_page_answers_whom_it_is_for(
    ada: Person, bo: Person, eve: Person, pages: Callable[[], list[str]]
) -> None:
    for path in pages():
        assert ada.get(path) == 200
        assert eve.get(path) == 200
        assert bo.get(path) == (200 if path == "/account" else 403)


def test_an_operator_lets_a_locked_out_account_try_again(
    ada: Person, bo: Person, eve: Person, nobody: FlaskClient
) -> None:
    def fails() -> int:
        form = {"name": "bo", "password": "forgotten it all"}
        return nobody.post("/login", data=form).status_code

    call, headers = nobody, ada.bearer("admin")
    while fails() != 429:
        pass
    found = call.get("/api/v1/admin/accounts/bo", headers=headers).get_json()
    assert found["locked_out"] == ["127.0.0.1"]
    assert "Locked out for now" in eve.browser.get("/admin/accounts/bo").text
    assert bo.post("/admin/accounts/bo/release") == 403
    assert ada.post("/admin/accounts/bo/release") == 303
    assert fails() == 401
    path = "/api/v1/admin/accounts/bo/lock"
    found = call.delete(path, headers=headers).get_json()
    assert found["locked_out"] == []
    assert "Locked out" not in ada.browser.get("/admin/accounts/bo").text
