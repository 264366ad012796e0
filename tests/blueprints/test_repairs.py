"""Repairs on pages, by the API and by commands."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from flask import Flask

from appliance import audit, clock, operations, runner
from appliance.admin.repairs import kept
from appliance.admin.repairs.issue import Fix, Issue
from appliance.admin.support import shelf
from appliance.cli import main
from appliance.commands import support
from appliance.config import Settings

from .conftest import Person

API, SUPPORT = "/api/v1/admin/repairs", "/api/v1/admin/support"
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
    (noted,) = audit.rows(1)
    assert (noted.account, noted.action, noted.subject) == (
        "ada",
        "POST /repairs/<id>/fix",
        "space:data",
    )
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


def test_a_bundle_is_made_by_an_operation_and_taken_along(
    settings: Settings, ada: Person, eve: Person
) -> None:
    assert "None is kept" in ada.browser.get("/repairs/").text
    assert ada.post("/repairs/support") == 303
    (row,) = operations.recent()
    runner.execute(row.id, "jobs")
    made = operations.get(row.id)
    assert made.state == "completed", made.error
    for page in ("/repairs/", f"/operations/{row.id}"):
        assert f"/repairs/support/{row.id}" in ada.browser.get(page).text
    (one,) = ada.browser.get(SUPPORT).get_json()["bundles"]
    for path in (f"{SUPPORT}/{row.id}", f"/repairs/support/{row.id}"):
        with ada.browser.get(path) as answer:
            assert (answer.status_code, answer.mimetype) == (200, "application/gzip")
            assert "attachment" in answer.headers["Content-Disposition"]
            assert len(answer.data) == one["bytes"]
    file = shelf.file(settings, row.id)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_uid == file.parent.parent.stat().st_uid
    assert eve.get(f"/repairs/support/{row.id}") == 403
    assert eve.get(SUPPORT) == 403
    assert "Support bundle" not in eve.browser.get("/repairs/").text


@pytest.mark.parametrize("id_", ["nothing", "0" * 26, "..%2fnode.db", "%00"])
def test_no_other_file_is_given_out(ada: Person, id_: str) -> None:
    for path in (f"{SUPPORT}/{id_}", f"/repairs/support/{id_}"):
        assert ada.get(path) == 404


def test_only_the_newest_bundles_are_kept(settings: Settings) -> None:
    folder = shelf.folder(settings)
    folder.mkdir()
    ids = [clock.new_id() for _ in range(5)]
    for id_ in ids:
        (folder / f"{id_}.tar.gz").touch()
    os.utime(folder / f"{ids[-1]}.tar.gz", (0, 0))
    assert shelf.trim(settings) == 3
    assert [one.id for one in shelf.bundles(settings)] == ids[-2:1:-1]


def test_who_is_not_root_has_the_node_make_one(
    console: None, ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(support, "follow", lambda id_: runner.execute(id_, "jobs"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["support", "--out", "mine.tar.gz"])
    assert done.exit_code == 0, done.output
    assert tarfile.is_tarfile(tmp_path / "mine.tar.gz")
    again = CliRunner().invoke(main, ["support", "--out", "mine.tar.gz"])
    assert again.exit_code == 1 and "File exists" in again.output
