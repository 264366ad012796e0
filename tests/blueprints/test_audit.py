"""The audit log: every change and every refusal, and never what was sent."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from appliance import audit as log
from appliance.admin import invitations
from blueprints import audit

from .conftest import PASSWORD, Person

API = "/api/v1/admin/audit"


def rows() -> list[tuple[str, str, str, str]]:
    found = log.rows(100)
    return [(r.account, r.action, r.subject, r.outcome) for r in found]


def test_a_change_is_noted_with_who_what_and_how_it_ended(ada: Person) -> None:
    ada.post("/admin/accounts", name="dev", roles="developer")
    ada.post("/admin/accounts/dev/disable")
    ada.post("/admin/accounts/ada/disable")
    ada.post("/admin/accounts/nobody/delete")
    ada.post("/vmm/i1/stop")
    assert rows() == [
        ("ada", "POST /vmm/<id>/<verb>", "i1/stop", "failed 404"),
        ("ada", "POST /admin/accounts/<name>/delete", "nobody", "failed 404"),
        ("ada", "POST /admin/accounts/<name>/disable", "ada", "failed 422"),
        ("ada", "POST /admin/accounts/<name>/disable", "dev", "done"),
        ("ada", "POST /admin/accounts", "", "done"),
    ]
    assert log.rows(1)[0].address == "127.0.0.1"


def test_looking_is_not_noted(ada: Person) -> None:
    for path in ("/", "/admin/accounts", "/admin/audit", "/nowhere"):
        ada.get(path)
    ada.post("/pack/check", formfile="NAME a")
    assert rows() == []


def test_refusals_are_noted(ada: Person, bo: Person, nobody: FlaskClient) -> None:
    bo.get("/admin/accounts/ada")
    bo.browser.post("/account/sessions/end")  # without its token
    nobody.delete("/api/v1/vmm/instances/i1")
    nobody.post("/login", headers={"Sec-Fetch-Site": "cross-site"})
    assert rows() == [
        ("", "POST /login", "", "refused"),
        ("", "DELETE /api/v1/vmm/instances/<id>", "i1", "refused"),
        ("bo", "POST /account/sessions/end", "", "refused"),
        ("bo", "GET /admin/accounts/<name>", "ada", "refused"),
    ]


def test_log_ins_are_noted_but_what_may_be_a_password_is_not(
    ada: Person, nobody: FlaskClient
) -> None:
    for name, password in (("ada", PASSWORD), ("ada", "wrong"), (PASSWORD, "ada")):
        nobody.post("/login", data={"name": name, "password": password})
    assert rows() == [
        ("", "POST /login", "", "refused"),
        ("ada", "POST /login", "", "refused"),
        ("ada", "POST /login", "", "done"),
    ]


def test_a_link_that_sets_a_password_is_not_in_the_log(
    ada: Person, bo: Person, nobody: FlaskClient
) -> None:
    link = invitations.create("bo")
    form = {"password": "staple under the moon", "again": "staple under the moon"}
    nobody.post(f"/password/{link}", data=form)
    assert rows() == [("bo", "POST /password/<token>", "", "done")]


def test_a_flood_of_strangers_does_not_fill_the_log(nobody: FlaskClient) -> None:
    for _ in range(audit.FLOOD + 10):
        nobody.delete("/api/v1/vmm/instances/i1")
    assert len(rows()) == audit.FLOOD


@pytest.fixture
def many(ada: Person) -> None:
    for number in range(7):
        who = "bo" if number % 2 else "cy"
        log.note(who, "192.0.2.1", "POST /x", f"thing{number}", "done")


def test_the_log_is_read_by_account_and_text_page_by_page(
    ada: Person, many: None
) -> None:
    def ask(**query: object) -> tuple[list[str], int | None]:
        found = ada.browser.get(API, query_string=query).get_json()
        return [row["subject"] for row in found["rows"]], found["next"]

    assert ask(account="bo") == (["thing5", "thing3", "thing1"], None)
    assert ask(text="THING4") == (["thing4"], None)
    assert ask(text="%") == ([], None)
    assert ask(account="bo", text="thing4") == ([], None)
    first, following = ask(limit=4)
    second, end = ask(limit=4, before=following)
    assert [*first, *second] == [f"thing{number}" for number in range(6, -1, -1)]
    assert end is None


def test_the_page_shows_and_finds(ada: Person, many: None) -> None:
    assert "thing6" in ada.browser.get("/admin/audit").text
    page = ada.browser.get("/admin/audit?account=bo&text=thing1").text
    assert "thing1" in page
    assert "thing3" not in page
    assert "Nothing fits" in ada.browser.get("/admin/audit?text=nowhere").text


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "before=x"])
def test_a_nonsensical_parameter_is_named(ada: Person, query: str) -> None:
    answer = ada.browser.get(f"{API}?{query}")
    assert answer.status_code == 422
    assert answer.get_json()["detail"].startswith(query.partition("=")[0])


def test_more_than_the_most_is_the_most(ada: Person) -> None:
    assert ada.get(f"{API}?limit=99999") == 200


def test_the_log_is_verified_by_page_and_call(ada: Person, many: None) -> None:
    found = ada.browser.get(f"{API}/verification").get_json()
    assert (found["faults"], found["signed"]) == ([], None)
    assert "is whole" in ada.browser.get("/admin/audit/verification").text
    log.Audit.update(subject="other").where(log.Audit.subject == "thing3").execute()
    assert "was changed" in ada.browser.get("/admin/audit/verification").text
    assert ada.browser.get(f"{API}/verification").get_json()["faults"]


def test_what_is_asked_for_is_exported(ada: Person, many: None) -> None:
    log.note("=cmd()", "192.0.2.1", "POST /y", "", "refused")
    sheet = ada.browser.get("/admin/audit/rows.csv").text.splitlines()
    assert sheet[0].startswith("time,id,account,")
    assert len(sheet) == 9
    assert "'=cmd()" in sheet[1]
    lines = ada.browser.get("/admin/audit/rows.jsonl?account=bo").text.splitlines()
    assert [json.loads(line)["account"] for line in lines] == ["bo"] * 3
    assert ada.get("/admin/audit/rows.xls") == 404


def test_the_log_is_asked_for_by_outcome_and_day(ada: Person, many: None) -> None:
    log.note("bo", "192.0.2.1", "POST /y", "", "failed 404")
    found = ada.browser.get(f"{API}?outcome=failed").get_json()["rows"]
    assert [row["outcome"] for row in found] == ["failed 404"]
    today = found[0]["time"][:10]
    assert (
        len(ada.browser.get(f"{API}?from={today}&to={today}").get_json()["rows"]) == 8
    )
    assert ada.browser.get(f"{API}?to=2026-01-31").get_json()["rows"] == []
    assert ada.get(f"{API}?from=yesterday") == 422
