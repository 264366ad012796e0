"""The app with a node's foundations, and people who call it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.admin import accounts, sessions, tokens
from appliance.config import Settings
from appliance.service import choose
from appliance.state.server import StateServer
from tests.blueprints.conformance import watched_app

PASSWORD = "correct horse battery"  # noqa: S105


@contextmanager
def accepted_by(path: Path) -> Iterator[socket.socket]:
    """The server's end of a connection to a Unix socket at `path`."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as peer:
        server.bind(str(path))
        server.listen()
        peer.connect(str(path))
        link, _ = server.accept()
        with link:
            yield link


@pytest.fixture
def app(settings: Settings, records: StateServer) -> Iterator[Flask]:
    """The app; whatever it answers in the test is as its document says."""
    with watched_app() as made:
        yield made


@pytest.fixture(scope="session")
def hashed() -> str:
    return accounts.hash_password(PASSWORD)


class Person:
    """An account with a browser that is logged in, and with an API token."""

    def __init__(self, app: Flask, account: accounts.Account) -> None:
        self.app = app
        self.account = account
        self.browser = app.test_client()
        cookie = sessions.begin(account.id, "192.0.2.1", "Firefox Linux")
        self.browser.set_cookie("formation", cookie)
        self.cookie = cookie

    @property
    def csrf(self) -> str:
        found = sessions.find(self.cookie)
        return found.csrf if found else ""

    def get(self, path: str) -> int:
        return self.browser.get(path).status_code

    def post(self, path: str, **form: object) -> int:
        data = {"csrf": self.csrf, **form}
        return self.browser.post(path, data=data).status_code

    def bearer(self, *scopes: str) -> dict[str, str]:
        token, _ = tokens.create(self.account, "test", scopes or ("admin",))
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def person(app: Flask, settings: Settings, hashed: str) -> Callable[..., Person]:
    choose(settings, [])

    def make(name: str, *roles: str) -> Person:
        return Person(app, accounts.create(name, hashed, roles))

    return make


@pytest.fixture
def ada(person: Callable[..., Person]) -> Person:
    return person("ada", "operator")


@pytest.fixture
def bo(ada: Person, person: Callable[..., Person]) -> Person:
    return person("bo", "developer")


@pytest.fixture
def cy(ada: Person, person: Callable[..., Person]) -> Person:
    return person("cy", "developer")


@pytest.fixture
def eve(ada: Person, person: Callable[..., Person]) -> Person:
    return person("eve", "auditor")


@pytest.fixture
def nobody(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def operator(ada: Person) -> accounts.Account:
    return ada.account


@pytest.fixture
def logged_in(ada: Person) -> FlaskClient:
    """The operator's, logged in."""
    return ada.browser
