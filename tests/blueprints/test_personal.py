"""What is kept about an account is given to it, and it can be erased."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from appliance import audit, cli, operations, shares, state
from appliance.admin import accounts, invitations, second_factor
from appliance.commands import accounts as commands
from appliance.config import Settings
from appliance.market import tasks

from .conftest import PASSWORD, Person
from .test_proof import age

OWN = "/api/v1/admin/account"
BO = "/api/v1/admin/accounts/bo"
PARTS = {
    "account",
    "agents",
    "audit",
    "invitations",
    "operations",
    "rights",
    "sessions",
    "settings",
    "tasks",
    "tokens",
}


def opened(answer: TestResponse) -> dict[str, Any]:
    """The documents of an export, by their names."""
    assert answer.status_code == 200
    assert answer.mimetype == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.data)) as found:
        names = [name for name in found.namelist() if name.endswith(".json")]
        return {n.removesuffix(".json"): json.loads(found.read(n)) for n in names}


@pytest.fixture
def kept(bo: Person, cy: Person) -> str:
    """Something of every kind about bo; the token that must not be given."""
    names = {"owner": bo.account.id, "owner_name": "bo", "name": "echo"}
    state.put("agent", "bo/echo", {**names, "latest": "1"})
    state.put("version", "bo/echo@1", {"agent": "bo/echo", "version": "1"})
    wish = {"input": "hello", "timeout_s": 60, "metadata": {}}
    tasks.create(bo.account.id, "echo", "1", bo.account.id, wish)
    tasks.create(bo.account.id, "echo", "1", cy.account.id, wish)
    shares.give("bo/echo", cy.account.id, "view", bo.account.id)
    audit.note("bo", "192.0.2.1", "POST /x", "thing", "done")
    audit.note("cy", "192.0.2.2", "POST /y", "other", "done")
    operations.submit(
        "stop", title="Stop", subject="x", params={}, account=bo.account.id
    )
    second_factor.begin(bo.account.id)
    return bo.bearer("admin")["Authorization"].removeprefix("Bearer ")


def test_an_account_has_all_that_is_kept_about_it(bo: Person, kept: str) -> None:
    answer = bo.browser.get(f"{OWN}/export")
    found = opened(answer)
    assert set(found) == PARTS
    assert found["account"]["name"] == "bo"
    assert [row["address"] for row in found["sessions"]] == ["192.0.2.1"]
    assert [row["name"] for row in found["tokens"]] == ["test"]
    assert [row["request"]["input"] for row in found["tasks"]] == ["hello"]
    assert [row["id"] for row in found["agents"]] == ["bo/echo"]
    assert [row["action"] for row in found["audit"]] == ["POST /x"]
    assert [row["account"] for row in found["rights"]] == ["cy"]
    assert [row["title"] for row in found["operations"]] == ["Stop"]


def test_nothing_in_it_lets_anybody_in(bo: Person, kept: str, hashed: str) -> None:
    row = second_factor.SecondFactor.get_by_id(bo.account.id)
    invitations.create("bo")
    accounts.set_password("bo", PASSWORD)
    who = Person(bo.app, bo.account)
    answer = who.browser.get(f"{OWN}/export")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as found:
        text = b"".join(map(found.read, found.namelist())).decode()
    for secret in (kept, row.secret, hashed, who.cookie, who.csrf, "argon2"):
        assert secret not in text


def test_only_operators_export_others(
    ada: Person, bo: Person, eve: Person, kept: str
) -> None:
    assert opened(ada.browser.get(f"{BO}/export"))["account"]["name"] == "bo"
    assert eve.get(f"{BO}/export") == bo.get(f"{BO}/export") == 403
    assert ada.get("/api/v1/admin/accounts/nobody/export") == 404
    page = ada.browser.post("/admin/accounts/bo/export", data={"csrf": ada.csrf})
    assert 'filename="bo.zip"' in page.headers["Content-Disposition"]


def test_both_are_asked_for_the_password_first(
    settings: Settings, bo: Person, kept: str
) -> None:
    age(settings)
    form = {"csrf": bo.csrf, "confirm": "bo", "agents": "delete"}
    for path in ("/account/export", "/account/erase"):
        assert "Is it you?" in bo.browser.post(path, data=form).text
    asked = bo.browser.get(f"{OWN}/export")
    assert asked.get_json()["type"] == "/problems/proof-needed"
    assert accounts.exists("bo") and operations.recent(1)[0].kind == "stop"
    right = {**form, "proof_password": PASSWORD}
    assert opened(bo.browser.post("/account/export", data=right))


def test_the_page_says_what_an_erasure_takes_and_asks(
    ada: Person, bo: Person, kept: str
) -> None:
    for who, path in ((bo, "/account/erase"), (ada, "/admin/accounts/bo/erase")):
        page = who.browser.get(path).text
        assert "bo/echo" in page and "Type bo to confirm" in page
        for form, said in (
            ({"confirm": "", "agents": "delete"}, "Type bo."),
            ({"confirm": "bo", "agents": "hand over"}, "Name an account."),
            (
                {"confirm": "bo", "agents": "hand over", "heir": "nobody"},
                "Another developer or operator.",
            ),
        ):
            answer = who.browser.post(path, data={"csrf": who.csrf, **form})
            assert answer.status_code == 422
            assert said in answer.text
    assert operations.recent(1)[0].kind == "stop"


def test_it_is_asked_for_by_its_page(ada: Person, bo: Person, kept: str) -> None:
    assert bo.post("/account/erase", confirm="bo", agents="delete") == 200
    row = operations.recent(1)[0]
    assert (row.kind, row.account, row.subject) == (
        "account-erase",
        bo.account.id,
        bo.account.id,
    )
    assert json.loads(row.params) == {"name": "bo", "heir": ""}
    again = ada.browser.post(
        "/admin/accounts/bo/erase",
        data={"csrf": ada.csrf, "confirm": "bo", "agents": "delete"},
    )
    assert again.status_code == 409
    assert "already" in again.text


def test_the_last_operator_is_told_that_it_must_stay(ada: Person) -> None:
    assert "last operator" in ada.browser.get("/account/erase").text
    answer = ada.browser.post(
        f"{OWN}/erasure",
        json={"confirm": "ada"},
        headers={"X-CSRF-Token": ada.csrf},
    )
    assert answer.status_code == 409
    assert answer.get_json()["type"] == "/problems/last-operator"


def test_by_the_api(ada: Person, bo: Person, eve: Person, kept: str) -> None:
    shown = ada.browser.get(f"{BO}/erasure").get_json()
    assert (shown["agents"], shown["tasks"], shown["hindrance"]) == (["bo/echo"], 1, "")
    assert bo.browser.get(f"{OWN}/erasure").get_json() == shown
    headers = {"X-CSRF-Token": ada.csrf}
    slip = ada.browser.post(f"{BO}/erasure", json={"confirm": "b"}, headers=headers)
    assert slip.status_code == 422
    wish = {"confirm": "bo", "hand_over_to": "cy"}
    made = ada.browser.post(f"{BO}/erasure", json=wish, headers=headers)
    assert made.status_code == 202
    assert eve.get(f"{BO}/erasure") == 403


def test_by_command(
    ada: Person,
    bo: Person,
    kept: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    bearer = ada.bearer("admin")
    client = ada.app.test_client()
    asked: list[tuple[str, Any]] = []

    def call(method: str, path: str, json: Any = None) -> Any:
        asked.append((path, json))
        return client.open(path, method=method, json=json, headers=bearer).get_json()

    monkeypatch.setattr(commands, "call", call)
    monkeypatch.setattr(commands, "follow", lambda id_: None)
    run = CliRunner().invoke
    kept_back = run(cli.main, ["account", "erase", "bo"], input="n\n")
    assert kept_back.exit_code == 1 and "bo/echo" in kept_back.output
    assert [path for path, _ in asked] == [f"{BO}/erasure"]
    done = run(cli.main, ["account", "erase", "bo", "--hand-over-to", "ada", "--yes"])
    assert done.exit_code == 0, done.output
    assert asked[-1] == (f"{BO}/erasure", {"confirm": "bo", "hand_over_to": "ada"})
    assert json.loads(operations.recent(1)[0].params)["heir"] == "ada"
