"""Forwarding headers count on Caddy's sockets and nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify, request

from blueprints.ingress import behind_caddy

CLAIMS = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    vars(made)["wsgi_app"] = behind_caddy(made.wsgi_app)

    @made.get("/")
    def said() -> Any:
        return jsonify(address=request.remote_addr, secure=request.is_secure)

    return made


@pytest.fixture
def accepted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """The server's end of a connection to the socket that the test names."""
    path = str(tmp_path / request.param)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as peer:
        server.bind(path)
        server.listen()
        peer.connect(path)
        link, _ = server.accept()
        with link:
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


@pytest.mark.parametrize("accepted", ["cli.sock", "other.sock"], indirect=True)
def test_elsewhere_they_count_for_nothing(app: Flask, accepted: socket.socket) -> None:
    environ = {"gunicorn.socket": accepted}
    answer = app.test_client().get("/", headers=CLAIMS, environ_overrides=environ)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}


def test_without_a_socket_they_count_for_nothing(app: Flask) -> None:
    answer = app.test_client().get("/", headers=CLAIMS)
    assert answer.get_json() == {"address": "127.0.0.1", "secure": False}
