"""The records' table in state.db: written by formation-state, read by all."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from peewee import OperationalError, SqliteDatabase

from appliance import clock, database
from appliance.database import PER_THREAD, open_database
from appliance.problems import EngineGone, Problem
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
    """
    create index record_owner on record
        (kind, json_extract(body, '$.owner'), id) where deleted = 0;
    create index record_account on record
        (kind, json_extract(body, '$.account'), id) where deleted = 0;
    create index record_agent on record
        (kind, json_extract(body, '$.agent'), id) where deleted = 0;
    create index record_build on record
        (kind, json_extract(body, '$.build_id'), id) where deleted = 0;
    create index record_node on record
        (kind, json_extract(body, '$.node'), id) where deleted = 0;
    create index record_deployment on record
        (kind, json_extract(body, '$.deployment'), id) where deleted = 0;
    create index record_instance on record
        (kind, json_extract(body, '$.instance'), id) where deleted = 0;
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


UNOPENED = ("readonly database", "unable to open database", "no such table")
TRIES = 20
PAUSE_S = 0.005


class Opened(SqliteDatabase):
    """A database whose only writer is another process: a reader that comes first
    finds no file, no write-ahead index or no table yet. One that reads the index while
    it is written is told the same, for a moment (SQLITE_READONLY_RECOVERY)."""

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        for _ in range(TRIES):
            try:
                return super().execute_sql(sql, params)  # type: ignore[no-untyped-call]
            except OperationalError as error:
                if not any(said in str(error) for said in UNOPENED):
                    raise
                unopened = error
            time.sleep(PAUSE_S)
        raise EngineGone(
            "state-starting",
            "formation-state has not opened the records yet; try again in a "
            "moment. Where that does not help, form logs state says why.",
            retry_after=1,
        ) from unopened


class Reader:
    """Queries; safe for any number of threads and processes."""

    def __init__(self, path: Path) -> None:
        self.database = Opened(
            f"{path.absolute().as_uri()}?mode=ro",
            pragmas={"busy_timeout": 5000},
            timeout=5,
            uri=True,
            **PER_THREAD,
        )

    def find(self, kind: str, id_: str, *, deleted: bool = False) -> Record | None:
        """The record; with `deleted`, also the tombstone of one that was."""
        row = self.database.execute_sql(
            f"select {_COLUMNS} from record where kind=? and id=? and deleted<=?",  # noqa: S608
            (kind, id_, int(deleted)),
        ).fetchone()
        return _record(row) if row else None

    def select(
        self, kind: str, equals: Mapping[str, Any], *, after: str = "", limit: int = -1
    ) -> list[Record]:
        """Living records by members of their bodies (`id` is their own), in the
        ids' order; members that link records are indexed."""
        where = "".join(f" and {_column(key)} = ?" for key in equals)
        rows = self.database.execute_sql(
            f"select {_COLUMNS} from record where kind=? and deleted=0 and id>?{where} "  # noqa: S608
            "order by id limit ?",
            (kind, after, *equals.values(), limit),
        ).fetchall()
        return [_record(row) for row in rows]

    def count(self, kind: str) -> int:
        query = "select count(*) from record where kind=? and deleted=0"
        return int(self.database.execute_sql(query, (kind,)).fetchone()[0])

    def total(self) -> int:
        """How many records of all kinds there are."""
        query = "select count(*) from record where deleted=0"
        return int(self.database.execute_sql(query).fetchone()[0])

    def every(self) -> Iterator[Record]:
        """All records and tombstones."""
        rows = self.database.execute_sql(
            f"select {_COLUMNS} from record order by kind, id"  # noqa: S608
        )
        return map(_record, rows)

    def headers(self, kind: str, id_: str) -> list[Header]:
        """What is kept of a record's versions, the newest first."""
        rows = self.database.execute_sql(
            "select author, incarnation, seq, hlc from header where kind=? and id=? "
            "order by hlc desc, author desc",
            (kind, id_),
        )
        return [Header(*row) for row in rows]

    def own(self) -> Own | None:
        """Where this node's own stamps have come to; None before its first start."""
        row = self.database.execute_sql(
            "select incarnation, seq, hlc from own"
        ).fetchone()
        return Own(*row) if row else None

    def marker(self) -> int:
        """A number that changes whenever another connection wrote."""
        return int(self.database.execute_sql("pragma data_version").fetchone()[0])


def _column(key: str) -> str:
    """The SQL of a body's member: a literal path, which an index can match."""
    if not key.isidentifier():
        raise ValueError(key)
    return "id" if key == "id" else f"json_extract(body, '$.{key}')"


@dataclass(frozen=True)
class Header:
    """Who wrote a version of a record, and when."""

    author: str
    incarnation: str
    seq: int
    hlc: int


@dataclass(frozen=True)
class Own:
    """The stamp that was used last."""

    incarnation: str
    seq: int
    hlc: int

    def goes_on_from(self, seen: Own) -> bool:
        return self.incarnation == seen.incarnation and self.seq >= seen.seq


class Store(Reader):
    """Stamps, signs and keeps records of this node.

    The witness lies outside the database and is written first: a database that was
    restored from a backup lacks what the witness has seen, and begins a new
    incarnation, so that no (incarnation, seq) is used twice.
    """

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
        self._witness = path.with_name("incarnation")
        with self.database.atomic("immediate"):
            self._begin()

    def keep_headers(self, count: int) -> None:
        """From now on, of a record's last versions."""
        self._headers_kept = count

    def _begin(self) -> None:
        """Go on in the known incarnation, or start a new one."""
        known, seen = self.own(), read_witness(self._witness)
        if known and seen and known.goes_on_from(seen):
            return
        hlc = max((own.hlc for own in (known, seen) if own), default=0)
        fresh = Own(secrets.token_hex(8), 0, hlc)
        write_witness(self._witness, fresh)
        self.database.execute_sql("delete from own")
        self.database.execute_sql("insert into own values (?,?,?)", astuple(fresh))

    def write(
        self, kind: str, id_: str, body: dict[str, Any], *, deleted: bool = False
    ) -> Record:
        """Stamp, sign and keep one record; durable when this returns."""
        if kind not in KINDS:
            raise Problem("kind-unknown", f"There are no records of kind {kind!r}.")
        with self.database.atomic("immediate"):
            last = self.own()
            assert last is not None  # since __init__
            hlc = tick(last.hlc, int(clock.now() * 1000))
            stamp = Own(last.incarnation, last.seq + 1, hlc)
            record = self._signed(kind, id_, body, stamp, deleted)
            write_witness(self._witness, stamp)
            self._keep(record)
            self.database.execute_sql("update own set seq=?, hlc=?", (stamp.seq, hlc))
        return record

    def _signed(
        self, kind: str, id_: str, body: dict[str, Any], stamp: Own, deleted: bool
    ) -> Record:
        incarnation, seq, hlc = astuple(stamp)
        record = Record(
            kind, id_, body, self._author, incarnation, seq, hlc, "", deleted
        )
        return sign(record, self._signer)

    def _keep(self, record: Record) -> None:
        body = json.dumps(record.body, separators=(",", ":"))
        key = (record.kind, record.id)
        stamp = (record.author, record.incarnation, record.seq, record.hlc)
        # never `replace`: of two records with one seq it would drop the other
        self.database.execute_sql(
            f"insert into record ({_COLUMNS}) values (?,?,?,?,?,?,?,?,?) "  # noqa: S608
            "on conflict (kind, id) do update set body=excluded.body, "
            "author=excluded.author, incarnation=excluded.incarnation, "
            "seq=excluded.seq, hlc=excluded.hlc, signature=excluded.signature, "
            "deleted=excluded.deleted",
            (*key, body, *stamp, record.signature, int(record.deleted)),
        )
        self.database.execute_sql(
            "insert into header values (?,?,?,?,?,?)", (*key, *stamp)
        )
        self.database.execute_sql(
            "delete from header where kind=? and id=? and hlc not in (select hlc "
            "from header where kind=? and id=? order by hlc desc limit ?)",
            (*key, *key, self._headers_kept),
        )

    def forget(self, mentions: Callable[[str], bool]) -> int:
        """Drop tombstones, with their headers, whose ids these are, and what is left
        of them in the file; says how many. Where other nodes may hold the records yet,
        their tombstones stay: without them they would come back."""
        query = "select kind, id from record where deleted=1"
        gone = [key for key in self.database.execute_sql(query) if mentions(key[1])]
        if self.count("node") > 1:
            return 0
        with self.database.atomic("immediate"):
            for key in gone:
                for table in ("record", "header"):
                    self.database.execute_sql(
                        f"delete from {table} where kind=? and id=?",  # noqa: S608
                        key,
                    )
        database.compact(self.database)
        return len(gone)


def read_witness(path: Path) -> Own | None:
    """What the witness saw; None where there is none, or none that can be read."""
    try:
        incarnation, seq, *hlc = path.read_text().split()
        return Own(incarnation, int(seq), int(hlc[0]) if hlc else 0)
    except (FileNotFoundError, ValueError):
        return None


def write_witness(path: Path, stamp: Own) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(f"{stamp.incarnation} {stamp.seq} {stamp.hlc}\n")
    draft.replace(path)
