"""SQLite through peewee: connections, pragmas, numbered migrations.

`node.db` holds what is this node's alone (operations, sessions, tasks, events),
`metrics.db` its measurements; `state.db` (records) belongs to appliance.state.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from peewee import Expression, Insert, Model, OperationalError, SqliteDatabase, Update

from appliance.problems import Problem

BUSY_TIMEOUT_S = 5
JOURNAL_BYTES = 16 << 20  # a longer write-ahead log is cut after its checkpoint

M = TypeVar("M", bound=Model)
node = SqliteDatabase(None)
metrics = SqliteDatabase(None)


class Connection(sqlite3.Connection):
    """Ends with the thread that opened it, wherever that thread's last trace goes."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it was never opened
            self.close()


PER_THREAD: dict[str, Any] = {"factory": Connection, "check_same_thread": False}
"""How peewee opens connections: one a thread, which it keeps to itself."""


class NodeModel(Model):
    """A table of node.db."""

    class Meta:
        database = node


class MetricsModel(Model):
    """A table of metrics.db."""

    class Meta:
        database = metrics


def open_database(
    database: SqliteDatabase,
    path: Path,
    migrations: Sequence[str],
    *,
    synchronous: str = "normal",
) -> None:
    """Connect `database` to `path` in WAL mode and bring its schema up to date."""
    if not database.is_closed():
        database.close()
    database.init(
        str(path),
        pragmas={
            "journal_mode": "wal",
            "synchronous": synchronous,
            "foreign_keys": 1,
            "busy_timeout": BUSY_TIMEOUT_S * 1000,
            "journal_size_limit": JOURNAL_BYTES,
        },
        timeout=BUSY_TIMEOUT_S,
        **PER_THREAD,
    )
    _belong_to_folder(path)
    database.connect(reuse_if_open=True)
    migrate(database, migrations, path)


def open_reading(database: SqliteDatabase, path: Path) -> None:
    """Connect `database` to what is there, to read alone; nothing is made of it."""
    if not database.is_closed():
        database.close()
    database.init(f"{path.absolute().as_uri()}?mode=ro", uri=True, **PER_THREAD)
    database.connect(reuse_if_open=True)


def compact(database: SqliteDatabase, patience_s: float = 10.0) -> bool:
    """Write the file anew without what was deleted, and empty its write-ahead log;
    says whether no reader kept that from being done in time."""
    database.execute_sql("vacuum")
    pause, end = threading.Event(), time.monotonic() + patience_s
    while True:
        busy, *_ = database.execute_sql("pragma wal_checkpoint(truncate)").fetchone()
        if not busy:
            return True
        if time.monotonic() > end:
            return False
        pause.wait(0.1)


def row(table: type[M], column: str, value: object) -> M | None:
    """The first row that has this value; its SQL is made once, which costs more than
    to run it."""
    return next(iter(table.raw(_row_sql(table, column), value)), None)


@cache
def _row_sql(table: type[Model], column: str) -> str:
    sql, _ = table.select().where(getattr(table, column) == "").sql()
    return str(sql)


def jot(change: Insert | Update) -> None:
    """Execute a change that may be lost: who only reads is answered also while the
    database is locked or its disk full."""
    with contextlib.suppress(OperationalError):
        change.execute()


def keep_newest(table: type[Model], keep: int, *among: Expression) -> int:
    """Drop all but the newest `keep` rows (by `id`), of those that fit `among` where
    it is given; says how many went."""
    ids = table.id  # type: ignore[attr-defined]
    found = table.select(ids).where(*among) if among else table.select(ids)
    first = found.order_by(ids.desc()).offset(keep).limit(1).scalar()
    if first is None:
        return 0
    return int(table.delete().where(ids <= first, *among).execute())


def _belong_to_folder(path: Path) -> None:
    """A file that root makes in another user's folder is that user's."""
    path.touch(mode=0o640)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


def migrate(database: SqliteDatabase, migrations: Sequence[str], path: Path) -> None:
    """Apply what is missing, each in a transaction; refuse a newer file."""
    done = int(database.execute_sql("pragma user_version").fetchone()[0])
    if done > len(migrations):
        raise Problem(
            "database-newer",
            f"{path} was written by a newer version (schema {done}, this one knows "
            f"{len(migrations)}). Install that version again, or restore a backup.",
        )
    for number in range(done + 1, len(migrations) + 1):
        with database.atomic("exclusive"):
            current = int(database.execute_sql("pragma user_version").fetchone()[0])
            if current >= number:  # another process was faster
                continue
            for statement in migrations[number - 1].split(";\n"):
                if statement.strip():
                    database.execute_sql(statement)
            database.execute_sql(f"pragma user_version = {number}")
