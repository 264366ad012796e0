"""Streams of live pages: who gets what, until when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance import events, state
from appliance.admin import sessions
from appliance.admin.accounts import Account
from appliance.config import Settings
from blueprints import live
from tests.blueprints.test_metrics import INSTANCE
from tests.conftest import say

STREAM = "/live/events?view=dashboard"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    live.broadcast.cache_clear()
    monkeypatch.setattr(live, "HEARTBEAT_S", 10.0)
    yield
    assert live.broadcast().viewers() == 0
    live.broadcast.cache_clear()


class Follower:
    """One open stream, read event by event."""

    def __init__(self, client: FlaskClient, path: str = STREAM) -> None:
        self.answer = client.get(path, buffered=False)
        assert self.answer.mimetype == "text/event-stream", self.answer.text
        self.lines = self.answer.iter_encoded()
        assert next(self.lines) == b"retry: 3000\n\n"

    def next(self) -> tuple[str, dict[str, dict[str, str]]]:
        kind, _, data = next(self.lines).decode().strip().partition("\ndata:")
        return kind.removeprefix("event: "), json.loads(data or "{}")

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *error: object) -> None:
        self.answer.close()


def test_a_change_arrives_as_the_fragment_it_is_in(logged_in: FlaskClient) -> None:
    with Follower(logged_in) as page:
        kind, first = page.next()
        assert kind == "update"
        assert "No agents run yet" in first["fragments"]["answer"]
        state.put("instance", "i1", INSTANCE)
        _, second = page.next()
        assert "The instance is healthy" in second["fragments"]["answer"]
        assert second["fragments"]["count-vmm"] == "1"
        assert "services" not in second["fragments"]


def test_the_stream_shows_what_the_page_shows(logged_in: FlaskClient) -> None:
    state.put("instance", "i1", INSTANCE)
    events.happened("The cat sat on the <button>", service="admin")
    page = logged_in.get("/").text
    parts = logged_in.get("/live/parts?view=dashboard").get_json()
    for name, html in parts["fragments"].items():
        assert f'id="{name}"' in page
        if name != "running":  # its form has the session's token in the page
            assert html.strip() in page.replace("\r", ""), name
    assert "<button>" not in parts["fragments"]["events"]


def test_the_pages_of_services_follow_what_happens(
    logged_in: FlaskClient, settings: Settings
) -> None:
    for view in ("view=services", "view=service&of=form-dns"):
        with Follower(logged_in, f"/live/events?{view}") as page:
            page.next()
            say(settings, "form-dns", "degraded", f"{view} is slow")
            _, found = page.next()
            assert f"{view} is slow" in unescape(str(found["fragments"]))


def test_no_session_token_is_in_what_all_share(logged_in: FlaskClient) -> None:
    token = sessions.Session.get().csrf
    assert token in logged_in.get("/").text
    assert token not in logged_in.get("/live/parts?view=dashboard").text


def test_an_account_whose_session_ended_gets_no_more(
    app: Flask, logged_in: FlaskClient
) -> None:
    with Follower(logged_in) as page:
        page.next()
        sessions.Session.delete().execute()
        state.put("instance", "i1", INSTANCE)
        assert page.next()[0] == "end"
        with pytest.raises(StopIteration):
            page.next()


def test_without_an_account_there_is_no_stream(app: Flask) -> None:
    assert app.test_client().get(STREAM).status_code in (302, 401)


def test_too_many_are_told_to_ask_from_time_to_time(
    logged_in: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.broadcast(), "_most", 1)
    with Follower(logged_in):
        answer = logged_in.get(STREAM)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
    with Follower(logged_in):
        pass


def test_an_unknown_view_is_no_page(logged_in: FlaskClient) -> None:
    assert logged_in.get("/live/events?view=rubbish").status_code == 404
    assert logged_in.get("/live/parts?view=rubbish").status_code == 404


def test_a_stream_that_is_never_read_leaves_nothing(logged_in: FlaskClient) -> None:
    logged_in.get(STREAM, buffered=False).close()


def test_audiences() -> None:
    ada, bob = Account("1", "ada", ("operator",)), Account("2", "bob", ("operator",))
    dev, eve = Account("3", "dev", ("developer",)), Account("4", "eve", ("auditor",))
    both = Account("5", "eva", ("developer", "auditor"))
    assert live.audience(ada) == live.audience(bob)
    assert len({live.audience(one) for one in (ada, dev, eve, both)}) == 4
