"""What every answer tells the browser, and what log-in and log-out do to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance import clock
from appliance.admin import second_factor, sessions
from appliance.config import Settings

from .conftest import PASSWORD, Person, accepted_by
from .test_access import routes

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.5"}


@pytest.fixture
def by_tls(settings: Settings) -> Iterator[dict[str, socket.socket]]:
    with accepted_by(settings.run_dir / "web.sock") as link:
        yield {"gunicorn.socket": link}


def test_every_answer_is_hardened(app: Flask, ada: Person) -> None:
    evil = {"Origin": "https://evil.example"}
    for method, path, _, _ in routes(app):
        if method != "GET":
            continue
        answer = ada.browser.get(path, headers=evil)
        answer.close()
        said = answer.headers
        assert {name: said.get(name) for name in ALWAYS} == ALWAYS, path
        policy = said["Content-Security-Policy"]
        assert "unsafe" not in policy and "object-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert path.startswith("/static/") or said["Cache-Control"] == "no-store", path
        assert not [name for name, _ in said if name.startswith("Access-Control")]
        kind = said.get("Content-Type", "")
        if kind.startswith("text/"):
            assert "charset=utf-8" in kind.lower(), path
        if answer.status_code not in (204, 302, 303, 304):
            assert kind, path


def test_there_are_no_sessions_of_plain_http_over_tls(
    ada: Person, by_tls: dict[str, socket.socket]
) -> None:
    """A cookie without prefix may have been planted by a page of plain HTTP."""
    page = ada.browser.get("/account", headers=TLS, environ_overrides=by_tls)
    assert page.status_code == 302
    ada.browser.set_cookie("__Host-formation", ada.cookie)
    page = ada.browser.get("/account", headers=TLS, environ_overrides=by_tls)
    assert page.status_code == 200


def test_log_in_with_a_code_over_tls_uses_cookies_with_prefixes(
    ada: Person, nobody: FlaskClient, by_tls: dict[str, socket.socket]
) -> None:
    import pyotp

    secret = second_factor.begin(ada.account.id)
    totp, now = pyotp.TOTP(secret), int(clock.now())
    second_factor.confirm(ada.account.id, "ada", totp.at(now - 30), "192.0.2.5")
    first = nobody.post(
        "/login",
        data={"name": "ada", "password": PASSWORD},
        headers=TLS,
        environ_overrides=by_tls,
    )
    waits = first.headers["Set-Cookie"]
    assert waits.startswith("__Secure-formation-login=")
    for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/login"):
        assert word in waits
    nobody.set_cookie(
        "__Secure-formation-login", waits.partition("=")[2].partition(";")[0]
    )
    second = nobody.post(
        "/login/code",
        data={"code": totp.at(now)},
        headers=TLS,
        environ_overrides=by_tls,
    )
    cookies = second.headers.getlist("Set-Cookie")
    assert any(found.startswith("__Host-formation=") for found in cookies)
    assert all("Secure" in found for found in cookies)


def test_log_out_leaves_nothing_in_the_browser(ada: Person) -> None:
    answer = ada.browser.post("/logout", data={"csrf": ada.csrf})
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert "formation=;" in answer.headers["Set-Cookie"]
    assert sessions.find(ada.cookie) is None
    assert ada.get("/account") == 302
