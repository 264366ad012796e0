"""The records' table in state.db: written by formation-state, read by all."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase

from appliance import clock
from appliance.database import open_database
from appliance.problems import Problem
from appliance.state.records import KINDS, Record, sign, tick

MIGRATIONS = (
    """
    create table record (
        kind text not null, id text not null, body text not null,
        author text not null, incarnation text not null, seq integer not null,
        hlc integer not null, signature text not null, deleted integer not null,
        primary key (kind, id));
    create unique index record_seq on record (author, incarnation, seq);
    create table header (
        kind text not null, id text not null, author text not null,
        incarnation text not null, seq integer not null, hlc integer not null,
        primary key (kind, id, hlc, author));
    create table own (
        incarnation text not null, seq integer not null, hlc integer not null);
    """,
)
_COLUMNS = "kind, id, body, author, incarnation, seq, hlc, signature, deleted"


def _record(row: Sequence[Any]) -> Record:
    kind, id_, body, author, incarnation, seq, hlc, signature, deleted = row
    return Record(
        kind,
        id_,
        json.loads(body),
        author,
        incarnation,
        seq,
        hlc,
        signature,
        bool(deleted),
    )


class Reader:
    """Queries; safe for any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        self.database = SqliteDatabase(
            str(path), pragmas={"busy_timeout": 5000}, timeout=5
        )

    def find(self, kind: str, id_: str) -> Record | None:
        row = self.database.execute_sql(
            f"select {_COLUMNS} from record where kind=? and id=? and deleted=0",  # noqa: S608
            (kind, id_),
        ).fetchone()
        return _record(row) if row else None

    def select(self, kind: str, equals: dict[str, Any]) -> list[Record]:
        where = "".join(" and json_extract(body, ?) = ?" for _ in equals)
        values: list[Any] = [kind]
        for key, value in equals.items():
            values += [f"$.{key}", value]
        rows = self.database.execute_sql(
            f"select {_COLUMNS} from record where kind=? and deleted=0{where} "  # noqa: S608
            "order by id",
            values,
        ).fetchall()
        return [_record(row) for row in rows]

    def count(self, kind: str) -> int:
        query = "select count(*) from record where kind=? and deleted=0"
        return int(self.database.execute_sql(query, (kind,)).fetchone()[0])

    def marker(self) -> int:
        """A number that changes whenever another connection wrote."""
        return int(self.database.execute_sql("pragma data_version").fetchone()[0])


class Store(Reader):
    """The one writer: stamps, signs and keeps records of this node."""

    def __init__(
        self,
        path: Path,
        author: str,
        signer: Callable[[bytes], bytes],
        headers_kept: int = 5,
    ) -> None:
        super().__init__(path)
        open_database(self.database, path, MIGRATIONS, synchronous="full")
        self._author = author
        self._signer = signer
        self._headers_kept = headers_kept
        self._begin(path.with_name("incarnation"))

    def _begin(self, witness: Path) -> None:
        """Go on in the known incarnation, or start a new one.

        The witness lies outside the database: a database restored from a backup
        lacks the seqs that the witness has seen, and must not use them again.
        """
        row = self.database.execute_sql(
            "select incarnation, seq, hlc from own"
        ).fetchone()
        seen = witness.read_text().split() if witness.exists() else []
        self._witness = witness
        if row and seen and seen[0] == row[0] and int(seen[1]) <= row[1]:
            self._incarnation, self._seq, self._hlc = row
            return
        self._incarnation, self._seq = secrets.token_hex(8), 0
        self._hlc = int(row[2]) if row else 0
        with self.database.atomic():
            self.database.execute_sql("delete from own")
            self.database.execute_sql(
                "insert into own values (?, 0, ?)", (self._incarnation, self._hlc)
            )
        self._witness_now()

    def _witness_now(self) -> None:
        draft = self._witness.with_suffix(".new")
        draft.write_text(f"{self._incarnation} {self._seq}\n")
        draft.replace(self._witness)

    def write(
        self, kind: str, id_: str, body: dict[str, Any], *, deleted: bool = False
    ) -> Record:
        """Stamp, sign and keep one record; durable when this returns."""
        if kind not in KINDS:
            raise Problem("kind-unknown", f"There are no records of kind {kind!r}.")
        seq = self._seq + 1
        hlc = tick(self._hlc, int(clock.now() * 1000))
        record = sign(
            Record(
                kind, id_, body, self._author, self._incarnation, seq, hlc, "", deleted
            ),
            self._signer,
        )
        with self.database.atomic("immediate"):
            self._keep(record)
            self.database.execute_sql("update own set seq=?, hlc=?", (seq, hlc))
        self._seq, self._hlc = seq, hlc
        self._witness_now()
        return record

    def _keep(self, record: Record) -> None:
        values = (
            record.kind,
            record.id,
            json.dumps(record.body, separators=(",", ":")),
            record.author,
            record.incarnation,
            record.seq,
            record.hlc,
            record.signature,
            int(record.deleted),
        )
        self.database.execute_sql(
            "replace into record values (?,?,?,?,?,?,?,?,?)", values
        )
        self.database.execute_sql(
            "replace into header values (?,?,?,?,?,?)",
            (values[0], values[1], *values[3:7]),
        )
        self.database.execute_sql(
            "delete from header where kind=? and id=? and hlc not in (select hlc "
            "from header where kind=? and id=? order by hlc desc limit ?)",
            (*values[:2], *values[:2], self._headers_kept),
        )
