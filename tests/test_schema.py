"""Migrations of node.db: what an older version stored means the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from peewee import SqliteDatabase

from appliance.database import open_database
from appliance.schema import NODE


@pytest.fixture
def before(tmp_path: Path) -> SqliteDatabase:
    """The file of a node that kept the names of tasks' owners."""
    database = SqliteDatabase(None)
    open_database(database, tmp_path / "node.db", NODE[:3])
    return database


def test_tasks_are_of_the_account_whose_name_they_had(
    before: SqliteDatabase, tmp_path: Path
) -> None:
    before.execute_sql(
        "insert into credential values ('01a', 'ada', '', '[]', 0, null)"
    )
    for id_, owner in (("t1", "ada"), ("t2", "gone")):
        before.execute_sql(
            "insert into task (id, owner, agent, version, caller, state, request, "
            "input_digest, usage, attempts, metadata, deadline, created) "
            "values (?, ?, 'echo', '1', '01a', 'completed', '', '', '', '', '', 0, 0)",
            (id_, owner),
        )
    open_database(before, tmp_path / "node.db", NODE)
    found = dict(before.execute_sql("select id, owner from task").fetchall())
    assert found == {"t1": "01a", "t2": "gone"}
    before.close()
