"""Repairs on pages, by the API and by commands."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner
from flask import Flask

from appliance import operations
from appliance.admin.repairs import kept
from appliance.admin.repairs.issue import Fix, Issue
from appliance.cli import main
from appliance.config import Settings

from .conftest import Person

API = "/api/v1/admin/repairs"
FULL = Issue("critical", "Full", "<b>97</b> %", "Free some.", "data", Fix("Free it"))
OLD = Issue("warning", "Old", "It ends.", "", fix=Fix("Renew", "Trust is lost."))
RUST = Issue("info", "Rust", "It rusts.", "Paint it.", "roof")


@pytest.fixture
def found(settings: Settings, ada: Person) -> None:
    kept.keep("space", "Room", [FULL])
    kept.keep("paper", "Paper", [OLD])
    kept.keep("machine", "Machine", [RUST])
    kept.looked("clock", "Clock", "the kernel said no")


def test_before_the_first_look_the_page_says_so(ada: Person) -> None:
    page = ada.browser.get("/repairs/").text
    assert "The checks have not looked yet" in page


def test_what_is_wrong_is_on_the_page_and_counted(found: None, eve: Person) -> None:
    page = eve.browser.get("/repairs/").text
    assert "3 things are to be mended" in page
    assert "&lt;b&gt;97&lt;/b&gt; %" in page
    assert '<span class="count" id="count-repairs">3</span>' in page
    assert "could not look: the kernel said no" in page
    assert "Check again" not in page and "Mend" not in page
    detail = eve.browser.get("/repairs/paper").text
    assert "Renew: an operator can" in detail
    assert eve.get("/repairs/nothing") == 404


def test_the_page_is_kept_up_to_date(found: None, eve: Person, bo: Person) -> None:
    parts = eve.browser.get("/live/parts?view=repairs").get_json()["fragments"]
    assert {"repairs-answer", "repairs-list", "repairs-checks"} <= parts.keys()
    assert parts["count-repairs"] == "3"
    assert bo.get("/live/parts?view=repairs") == 403
    assert bo.get("/repairs/") == 403


def test_a_fix_leads_to_its_operation(found: None, ada: Person) -> None:
    answer = ada.browser.post("/repairs/space:data/fix", data={"csrf": ada.csrf})
    assert answer.headers["Location"].startswith("/operations/")
    assert [row.kind for row in operations.recent()] == ["repair"]
    busy = ada.browser.post("/repairs/space:data/fix", data={"csrf": ada.csrf})
    assert busy.status_code == 409
    assert "one thing is mended at a time" in busy.text


def test_what_loses_something_is_asked_about_first(found: None, ada: Person) -> None:
    answer = ada.browser.post("/repairs/paper/fix", data={"csrf": ada.csrf})
    assert answer.headers["Location"] == "/repairs/paper"
    assert "Trust is lost." in ada.browser.get("/repairs/paper").text
    assert operations.recent() == []
    form = {"csrf": ada.csrf, "confirm": "1"}
    answer = ada.browser.post("/repairs/paper/fix", data=form)
    assert answer.headers["Location"].startswith("/operations/")


def test_what_the_node_cannot_mend_says_so(found: None, ada: Person) -> None:
    assert "cannot mend this by itself" in ada.browser.get("/repairs/machine:roof").text
    assert ada.post("/repairs/machine:roof/fix") == 409


def test_ignored_is_not_counted_until_it_is_said_again(
    found: None, ada: Person
) -> None:
    assert ada.post("/repairs/space:data/ignore", why="a test") == 303
    page = ada.browser.get("/repairs/").text
    assert "2 things are to be mended" in page
    assert "Ignored by ada until it changes: a test" in page
    assert ada.post("/repairs/space:data/heed") == 303
    assert "3 things" in ada.browser.get("/repairs/").text
    assert ada.post("/repairs/space:data/ignore", why="x" * 301) == 422


def test_a_look_is_an_operation(found: None, ada: Person) -> None:
    assert ada.post("/repairs/check") == 303
    assert [row.kind for row in operations.recent()] == ["repairs-check"]


def test_the_same_by_the_api(found: None, ada: Person) -> None:
    bearer = ada.bearer()
    first, *_ = ada.browser.get(API, headers=bearer).get_json()["repairs"]
    assert (first["id"], first["fix"], first["ignored"]) == (
        "space:data",
        "Free it",
        None,
    )
    url = f"{API}/paper"
    refused = ada.browser.post(f"{url}/fix", headers=bearer)
    assert refused.status_code == 409
    assert refused.get_json()["type"] == "/problems/repair-unconfirmed"
    put = ada.browser.put(f"{url}/ignored", json={"why": "later"}, headers=bearer)
    assert put.get_json()["ignored"]["why"] == "later"
    gone = ada.browser.delete(f"{url}/ignored", headers=bearer)
    assert gone.get_json()["ignored"] is None
    wish = {"confirm": True}
    done = ada.browser.post(f"{url}/fix", json=wish, headers=bearer)
    assert done.status_code == 202
    assert operations.get(done.get_json()["id"]).subject == "paper"
    assert ada.browser.post(f"{API}/check", headers=bearer).status_code == 202
    assert ada.browser.get(f"{API}/none", headers=bearer).status_code == 404


@pytest.fixture
def console(app: Flask, ada: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`form` as an operator on the node."""
    token = ada.bearer()["Authorization"]

    def local(environ: dict[str, object], start: object) -> object:
        environ["HTTP_AUTHORIZATION"] = token
        return app(environ, start)  # type: ignore[arg-type]

    transport = httpx.WSGITransport(app=local)  # type: ignore[arg-type]
    monkeypatch.setattr(httpx, "HTTPTransport", lambda uds: transport)
    return


def form(*words: str, stdin: str = "") -> str:
    return CliRunner().invoke(main, ["repairs", *words], input=stdin).output


def test_the_same_by_commands(found: None, console: None, ada: Person) -> None:
    listed = form("list").splitlines()
    assert [line.split()[1] for line in listed] == [
        "space:data",
        "paper",
        "machine:roof",
    ]
    assert "the kernel said no" in form("list", "--checks")
    assert "form repairs fix paper: Renew. Trust is lost." in form("show", "paper")
    assert "Trust is lost." in form("fix", "paper", stdin="n\n")
    assert operations.recent() == []
    assert "cannot mend" in form("fix", "machine:roof")
    assert "until it changes" in form("ignore", "paper", "--why", "later")
    assert "ignored by ada" in form("show", "paper")
    assert "said again" in form("ignore", "paper", "--off")
