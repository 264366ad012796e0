"""`form account`, `token` and `audit` against the app, as its first operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from appliance import identity, keyfile
from appliance.admin import accounts, tokens
from appliance.cli import main
from appliance.commands import accounts as commands
from appliance.config import Settings
from appliance.problems import from_document
from appliance.service import choose
from appliance.state.server import StateServer
from blueprints import create_app

Form = Callable[..., Result]


@pytest.fixture
def ada(settings: Settings, state_server: StateServer) -> accounts.Account:
    choose(settings, [])
    return accounts.create("ada", "", ["operator"])


@pytest.fixture
def client(ada: accounts.Account) -> FlaskClient:
    return create_app().test_client()


@pytest.fixture
def form(
    client: FlaskClient, ada: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> Form:
    """The command, whose calls reach the app as they would over the CLI socket."""
    monkeypatch.setattr("blueprints.authentication.by_socket", accounts.operator)

    def call(method: str, path: str, **more: Any) -> Any:
        query, json = more.get("params"), more.get("json")
        answer = client.open(path, method=method, json=json, query_string=query)
        if answer.status_code >= 400:
            raise from_document(answer.get_json())
        return answer.get_json()

    monkeypatch.setattr(commands, "call", call)
    return lambda *words, **more: CliRunner().invoke(main, list(words), **more)


def test_accounts_from_creation_to_deletion(form: Form) -> None:
    made = form("account", "create", "bo", "--role", "developer")
    assert "/password/" in made.output
    assert "no password yet" in form("account", "list").output
    asked = form(
        "account",
        "create",
        "eve",
        "--role",
        "auditor",
        "--password",
        input="staple under the moon\n",
    )
    assert asked.exit_code == 0, asked.output
    assert "staple" not in asked.output
    assert "/password/" in form("account", "password", "eve").output
    assert "auditor" in form("account", "roles", "bo", "auditor", "developer").output
    assert form("account", "disable", "bo").exit_code == 0
    assert "disabled" in form("account", "list").output
    assert form("account", "enable", "bo").exit_code == 0
    assert form("account", "delete", "bo", input="n\n").exit_code == 1
    assert form("account", "delete", "bo", "--yes").exit_code == 0
    assert [row.name for row in accounts.everyone()] == ["ada", "eve"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("account", "create", "a b", "--role", "developer"), "a-z, 0-9 and -"),
        (("account", "create", "bo", "--role", "king"), "Roles are"),
        (("account", "delete", "ada", "--yes"), "last operator"),
        (("account", "roles", "ada", "auditor"), "last operator"),
        (("account", "disable", "nobody"), "no account"),
        (("token", "create", "ci", "--scope", "root"), "One or more of"),
        (("token", "revoke", "x"), "no such token"),
    ],
)
def test_what_cannot_be_is_said(form: Form, words: tuple[str, ...], said: str) -> None:
    done = form(*words)
    assert done.exit_code == 1
    assert said in done.output


def test_a_token_is_printed_once_and_revoked(form: Form, ada: accounts.Account) -> None:
    token = form("token", "create", "ci", "--scope", "read", "--days", "3").output
    assert tokens.find(token.strip())
    listed = form("token", "list").output
    assert "ci" in listed
    assert token.strip() not in listed
    assert form("token", "revoke", listed.split()[0]).exit_code == 0
    assert tokens.of(ada.id) == []


def test_the_audit_log_is_printed_and_searched(form: Form) -> None:
    form("account", "create", "bo", "--role", "developer")
    form("account", "disable", "bo")
    lines = form("audit", "--text", "PATCH").output.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("PATCH /api/v1/admin/accounts/<name> bo done")
    assert form("audit", "--account", "nobody").output == ""


def test_keys_are_sealed_by_another_phrase(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance import config

    before = identity.signing_key(settings).private_bytes_raw()
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("one")
    monkeypatch.setenv("FORMATION_NODE__PASSPHRASE_FILE", str(new))
    config.settings.cache_clear()
    assert "Keys that are sealed now: 1" in CliRunner().invoke(main, SEAL).output
    old.write_text("one")
    new.write_text("two")
    wrong = CliRunner().invoke(main, [*SEAL, "--from", str(new)[:-3] + "none"])
    assert wrong.exit_code == 1
    changed = CliRunner().invoke(main, [*SEAL, "--from", str(old)])
    assert changed.exit_code == 0, changed.output
    found = keyfile.load(identity.key_files(settings)[0], b"two")
    assert found and found.private_bytes_raw() == before


SEAL = ["admin", "seal-keys"]


def test_lost_accounts_are_reset_without_a_call(
    form: Form, ada: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(commands, "call")
    assert "/password/" in form("account", "reset", "ada").output
    done = form(
        "account", "reset", "ada", "--password", input="staple under the moon\n"
    )
    assert done.exit_code == 0, done.output
    assert "/password/" not in done.output
    assert accounts.log_in("ada", "staple under the moon", "192.0.2.1") == ada
    assert "accounts: ada" in form("account", "reset", "eve").output


def test_who_failed_too_often_is_released(form: Form) -> None:
    assert "may try again" in form("account", "release", "ada").output
