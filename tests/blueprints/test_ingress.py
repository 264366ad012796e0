"""Forwarding headers count on Caddy's sockets and nowhere else."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, request

from appliance.config import Settings
from blueprints import ingress
from blueprints.ingress import BY_PROXY, behind_caddy

from .conftest import accepted_by

CLAIMS = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    vars(made)["wsgi_app"] = behind_caddy(made.wsgi_app)

    @made.get("/")
    def said() -> Any:
        return jsonify(address=request.remote_addr, secure=request.is_secure)

    @made.get("/proxied")
    def proxied() -> Any:
        return jsonify(request.environ[BY_PROXY])

    return made


@pytest.fixture
def accepted(
    settings: Settings, request: pytest.FixtureRequest
) -> Iterator[socket.socket]:
    """The server's end of a connection to the socket that the test names."""
    with accepted_by(settings.run_dir / request.param) as link:
        yield link


@pytest.mark.parametrize("accepted", ["web.sock", "gateway.sock"], indirect=True)
def test_what_caddy_says_counts(app: Flask, accepted: socket.socket) -> None:
    environ = {"gunicorn.socket": accepted}
    answer = app.test_client().get("/", headers=CLAIMS, environ_overrides=environ)
    assert answer.get_json() == {"address": "203.0.113.9", "secure": True}


@pytest.mark.parametrize("accepted", ["web.sock"], indirect=True)
def test_only_the_hop_that_caddy_added_counts(
    app: Flask, accepted: socket.socket
) -> None:
    answer = app.test_client().get(
        "/",
        headers={"X-Forwarded-For": "127.0.0.1, 203.0.113.9"},
        environ_overrides={"gunicorn.socket": accepted},
    )
    assert answer.get_json()["address"] == "203.0.113.9"


@pytest.mark.parametrize("accepted", ["web.sock"], indirect=True)
def test_what_another_user_says_counts_for_nothing(
    app: Flask, accepted: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = os.getuid() + 12345
    monkeypatch.setattr(ingress, "peer", lambda environ: (stranger, stranger))
    environ = {"gunicorn.socket": accepted}
    answer = app.test_client().get("/", headers=CLAIMS, environ_overrides=environ)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}


def test_a_socket_of_that_name_elsewhere_is_not_caddys(
    app: Flask, settings: Settings, tmp_path: Path
) -> None:
    with accepted_by(tmp_path / "web.sock") as link:
        environ = {"gunicorn.socket": link}
        answer = app.test_client().get("/", headers=CLAIMS, environ_overrides=environ)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}


@pytest.mark.parametrize(
    ("header", "counts"),
    [
        ("Forwarded", True),
        ("X-Forwarded-For", True),
        ("X-Real-IP", True),
        ("Via", True),
        ("Formation-Proxied", True),
        ("X-Forwarded-Host", False),
    ],
)
def test_a_proxy_on_the_way_is_noticed(app: Flask, header: str, counts: bool) -> None:
    answer = app.test_client().get("/proxied", headers={header: "x"})
    assert answer.get_json() is counts


@pytest.mark.parametrize("accepted", ["web.sock"], indirect=True)
def test_of_caddys_clients_caddy_says_whether_they_came_by_a_proxy(
    app: Flask, accepted: socket.socket
) -> None:
    for said, expected in (("", False), ("192.0.2.1", True)):
        answer = app.test_client().get(
            "/proxied",
            headers={"X-Forwarded-For": "203.0.113.9", "Formation-Proxied": said},
            environ_overrides={"gunicorn.socket": accepted},
        )
        assert answer.get_json() is expected


@pytest.mark.parametrize("accepted", ["cli.sock", "other.sock"], indirect=True)
def test_elsewhere_they_count_for_nothing(app: Flask, accepted: socket.socket) -> None:
    environ = {"gunicorn.socket": accepted}
    answer = app.test_client().get("/", headers=CLAIMS, environ_overrides=environ)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}


def test_without_a_socket_they_count_for_nothing(app: Flask) -> None:
    answer = app.test_client().get("/", headers=CLAIMS)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}
