"""Logs by page, stream and API; every request has an id; no secret is in any log."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from structlog.tracebacks import ExceptionDictTransformer

from appliance import clock, identity
from appliance.admin import accounts, invitations
from appliance.cli import main
from appliance.config import Settings
from blueprints import live

from .conftest import PASSWORD, Person
from .test_live import Follower

API = "/api/v1/admin/logs"


def line(event: str, level: str = "info", **more: str) -> str:
    stamp = clock.rfc3339(clock.now())
    said = {"event": event, "level": level, "timestamp": stamp, **more}
    return json.dumps(said) + "\n"


@pytest.fixture
def log(settings: Settings) -> Path:
    path = settings.log_dir / "web.log"
    path.write_text(line("<b>first</b>") + line("second", "error", request_id="r-1"))
    return path


def test_lines_are_shown_with_the_filters(log: Path, eve: Person) -> None:
    page = eve.browser.get("/admin/logs").text
    assert "&lt;b&gt;first&lt;/b&gt;" in page and "second" in page
    page = eve.browser.get("/admin/logs?level=error&text=SECOND").text
    assert "first" not in page and "second" in page
    page = eve.browser.get("/admin/logs?text=nowhere").text
    assert "Nothing fits" in page


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("process=nope", 404),
        ("level=loud", 422),
        ("since=soon", 422),
        ("before=x", 422),
    ],
)
def test_a_wrong_filter_is_said_on_the_page_and_by_the_api(
    log: Path, eve: Person, query: str, status: int
) -> None:
    page = eve.browser.get(f"/admin/logs?{query}")
    assert page.status_code == status and 'class="error"' in page.text
    assert eve.browser.get(f"{API}?{query}").status_code == status


def test_the_api_goes_page_by_page(log: Path, eve: Person) -> None:
    first = eve.browser.get(f"{API}?limit=1").get_json()
    assert [found["text"] for found in first["lines"]] == ["second"]
    assert first["lines"][0]["request"] == "r-1"
    older = eve.browser.get(API, query_string={"before": first["next"]}).get_json()
    assert [found["text"] for found in older["lines"]] == ["<b>first</b>"]
    assert older["next"] is None


def test_what_is_filtered_is_downloaded(log: Path, eve: Person) -> None:
    answer = eve.browser.get(f"{API}/download?request=r-1")
    assert answer.mimetype == "text/plain"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.text.endswith("web error [r-1] second\n")
    assert "first" not in answer.text


def test_developers_read_no_logs(log: Path, bo: Person) -> None:
    assert bo.get("/admin/logs") == 403 and bo.get(API) == 403
    assert bo.get("/live/parts?view=logs") == 403


def test_a_line_comes_to_who_follows_it(log: Path, eve: Person) -> None:
    live.broadcast.cache_clear()
    with Follower(eve.browser, "/live/events?view=logs&of=level%3Derror") as page:
        _, first = page.next()
        assert "second" in first["fragments"]["lines"]
        with log.open("a") as file:
            file.write(line("third", "error"))
        _, news = page.next()
        assert "third" in news["fragments"]["lines"]
        assert "first" not in news["fragments"]["lines"]
    live.broadcast.cache_clear()


def test_the_command_reads_them_without_the_node(log: Path) -> None:
    found = CliRunner().invoke(main, ["logs", "web", "--level", "error"])
    assert found.exit_code == 0 and "second" in found.output
    assert "first" not in found.output
    wrong = CliRunner().invoke(main, ["logs", "--since", "soon"])
    assert wrong.exit_code == 1 and "is no time" in wrong.output


def test_every_answer_has_an_id_and_so_has_what_is_logged(
    ada: Person, written: list[dict[str, Any]]
) -> None:
    answer = ada.browser.get("/api/v1/operations/none")
    id_ = answer.headers["X-Request-ID"]
    assert [event["request_id"] for event in written] == [id_] * len(written)
    said = written[-1]
    assert (said["event"], said["status"], said["account"]) == (
        "request",
        404,
        ada.account.id,
    )
    assert said["route"] == "/api/v1/operations/<id_>"


def test_the_page_of_a_problem_leads_to_what_was_logged_of_it(
    eve: Person, bo: Person, nobody: FlaskClient
) -> None:
    for who, path, leads in (
        (eve.browser, "/operations/none", True),
        (bo.browser, "/operations/none", False),
        (nobody, "/no-such-page", False),
    ):
        answer = who.get(path)
        id_ = answer.headers["X-Request-ID"]
        assert id_ in answer.text
        assert (f"/admin/logs?request={id_}" in answer.text) is leads


def test_an_id_of_the_caller_is_kept_where_it_is_a_plain_one(
    nobody: FlaskClient,
) -> None:
    for sent, kept in (("trace-1234", True), ("a b", False), ("x" * 65, False)):
        answer = nobody.get("/healthz", headers={"X-Request-ID": sent})
        assert (answer.headers["X-Request-ID"] == sent) is kept


def test_a_defect_of_ours_is_logged_with_its_place_and_no_value(
    app: Flask, written: list[dict[str, Any]]
) -> None:
    secret = "planted-s3cret-nobody-may-find"  # noqa: S105
    with app.test_request_context("/login", method="POST", data={"password": secret}):
        try:
            raise KeyError("place")
        except KeyError:
            app.log_exception(sys.exc_info())
    assert (written[0]["event"], written[0]["route"]) == ("request.bug", "/login")
    rendered = structlog.processors.ExceptionRenderer(
        ExceptionDictTransformer(show_locals=False)
    )(None, "error", dict(written[0]))
    assert "place" in str(rendered) and secret not in str(rendered)


def test_secrets_that_are_sent_are_in_no_log(
    ada: Person, nobody: FlaskClient, settings: Settings, written: list[dict[str, Any]]
) -> None:
    """Password, token, link, an agent's secret, pass phrase; in and out of place."""
    identity.sealing_key(settings)
    secret = "planted-s3cret-nobody-may-find"  # noqa: S105
    token = ada.bearer("admin")["Authorization"].removeprefix("Bearer ")
    nobody.post("/login", data={"name": "ada", "password": secret})
    nobody.post("/login", data={"name": secret, "password": PASSWORD})
    nobody.get("/api/v1/operations", headers={"Authorization": f"Bearer {token}"})
    nobody.get("/api/v1/operations", headers={"Authorization": f"Bearer {secret}"})
    account = accounts.create("dee", "", ("developer",))
    link = invitations.create(account.name)
    assert nobody.get(f"/password/{link}").status_code == 200
    body = {"present": PASSWORD, "new": secret}
    headers = {"X-CSRF-Token": ada.csrf}
    ada.browser.post("/api/v1/admin/account/password", json=body, headers=headers)
    for path in ("/api/v1/market/agents/ada/echo/secrets/KEY", "/nowhere/" + secret):
        ada.browser.put(path, data=secret, headers=headers)
    ada.post("/account/password", present=secret, new=secret, again=secret)
    text = f'[node]\npassphrase = "{secret}"\n'
    ada.browser.put("/api/v1/admin/settings", json={"text": text}, headers=headers)
    ada.post("/admin/settings/preview", text=text, tag="")
    said = json.dumps(written, default=str)
    assert len(written) >= 8
    for planted in (secret, token, link, PASSWORD, ada.cookie, ada.csrf):
        assert planted not in said
