"""Connections of the databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from appliance import database, events
from appliance.config import Settings
from appliance.database import Connection
from appliance.events import Event


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_file_that_cannot_be_opened_is_one_error_only(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        Connection(tmp_path / "absent" / "node.db")


def test_the_newest_rows_are_kept_also_of_some_alone(settings: Settings) -> None:
    for number in range(6):
        events.happened(str(number), service="a" if number % 2 else "b")
    assert database.keep_newest(Event, 2, Event.service == "a") == 1
    assert [e.text for e in Event.select()] == ["0", "2", "3", "4", "5"]
    assert database.keep_newest(Event, 9) == 0
    assert database.keep_newest(Event, 0) == 5
    assert Event.select().count() == 0


def test_a_row_is_found_by_any_column_whose_sql_is_made_once(
    settings: Settings,
) -> None:
    from appliance.admin.accounts import Credential

    made = {"password_hash": "", "roles": "[]", "created": 1.0}
    for name in ("ada", "bo"):
        Credential.create(account=f"id-{name}", name=name, **made)
    for _ in range(2):
        found = database.row(Credential, "name", "bo")
        assert found is not None and (found.account, found.created) == ("id-bo", 1.0)
        assert database.row(Credential, "account", "id-ada").name == "ada"  # type: ignore[union-attr]
        assert database.row(Credential, "name", "' or ''='") is None
