"""Records: stamped once, signed, and never with a seq used before."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peewee import OperationalError, SqliteDatabase

from appliance import identity, state
from appliance.config import Settings
from appliance.problems import EngineGone, Problem
from appliance.state.__main__ import open_store
from appliance.state.records import is_genuine, tick
from appliance.state.server import StateServer, may_write, parse
from appliance.state.store import Reader


def test_a_record_written_over_the_socket_is_found(records: StateServer) -> None:
    written = state.put("agent", "ada/echo", {"name": "echo"})
    assert state.find("agent", "ada/echo") == written
    assert state.select("agent", name="echo") == [written]
    state.remove("agent", "ada/echo")
    assert state.find("agent", "ada/echo") is None


def test_changes_at_the_same_time_lose_nothing(records: StateServer) -> None:
    state.put("instance", "i", {"desired": "running", "state": "booting"})
    names = [f"member{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: state.change("instance", "i", **{name: 1}), names))
    record = state.find("instance", "i")
    assert record
    assert set(record.body) == {"desired", "state", *names}
    assert state.change("instance", "i", member1=1).seq == record.seq
    with pytest.raises(Problem, match="no instance j"):
        state.change("instance", "j", state="healthy")


def test_records_are_signed_by_the_node(
    settings: Settings, records: StateServer
) -> None:
    record = state.put("node", "n", {"name": "cellar"})
    public = identity.raw_public(identity.signing_key(settings))
    assert is_genuine(record, public)
    forged = type(record)(**{**vars(record), "body": {"name": "attic"}})
    assert not is_genuine(forged, public)


def test_seqs_go_on_after_a_restart(settings: Settings) -> None:
    first = open_store(settings).write("node", "a", {})
    second = open_store(settings).write("node", "a", {})
    assert second.incarnation == first.incarnation
    assert second.seq == first.seq + 1
    assert second.hlc > first.hlc


def test_a_restored_backup_starts_a_new_incarnation(settings: Settings) -> None:
    path = settings.data_dir / "state" / "state.db"
    store = open_store(settings)
    before = store.write("node", "a", {})
    store.database.execute_sql("pragma wal_checkpoint(truncate)")
    shutil.copy(path, path.with_suffix(".bak"))
    store.write("node", "a", {})
    store.database.close()
    shutil.copy(path.with_suffix(".bak"), path)
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    after = open_store(settings).write("node", "a", {})
    assert after.incarnation != before.incarnation


def test_only_jobs_and_web_may_write_and_web_not_all() -> None:
    assert may_write("instance", 0, 500)
    assert not may_write("instance", 500, 500)
    assert may_write("agent", 500, 500)
    assert not may_write("agent", 501, 500)


@given(st.binary())
def test_a_wish_of_any_bytes_is_refused_with_a_problem(line: bytes) -> None:
    with pytest.raises(Problem):
        parse(line)


@given(st.integers(0, 2**60), st.integers(0, 2**42))
def test_logical_time_always_grows(last: int, wall: int) -> None:
    assert tick(last, wall) > last


@pytest.mark.parametrize("made", ["nothing", "an empty file"])
def test_who_reads_before_the_writer_came_is_told_to_wait(
    tmp_path: Path, made: str
) -> None:
    path = tmp_path / "state.db"
    if made == "an empty file":
        path.touch()
    reader = Reader(path)
    with pytest.raises(EngineGone, match="has not opened the records yet") as told:
        reader.find("node", "n")
    assert (told.value.status, told.value.retry_after) == (503, 1)
    reader.database.close()


def test_who_reads_while_the_index_is_written_reads_again(
    records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.put("agent", "ada/echo", {"name": "echo"})
    refused = [OperationalError("attempt to write a readonly database")] * 3
    execute = SqliteDatabase.execute_sql

    def busy(database: SqliteDatabase, *of: object) -> object:
        if refused:
            raise refused.pop()
        return execute(database, *of)

    monkeypatch.setattr(SqliteDatabase, "execute_sql", busy)
    assert state.find("agent", "ada/echo")
    assert refused == []


def test_who_may_not_make_the_index_is_told_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As formation-web before formation-state has opened what a power cut left."""

    def refuse(*of: object) -> None:
        raise OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(SqliteDatabase, "execute_sql", refuse)
    with pytest.raises(EngineGone, match="has not opened the records yet"):
        Reader(tmp_path / "state.db").count("node")
