"""A node's app, and its operator logged in."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.admin import accounts
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
def browser(app: Flask, operator: accounts.Account) -> FlaskClient:
    client = app.test_client()
    form = {"name": operator.name, "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 303
    return client
