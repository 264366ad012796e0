"""Stamps grow and are used once, whatever happens to files, clocks and writers;
of two versions of a record the same one wins everywhere."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import clock
from appliance.identity import Ed25519PrivateKey, fingerprint, raw_public
from appliance.state.records import LATEST_MS, Record, merge, tick, wins
from appliance.state.store import Store

KEY = Ed25519PrivateKey.generate()
AUTHOR = fingerprint(raw_public(KEY))
EVENTS = (
    "write",
    "other writer",
    "restart",
    "crash before commit",
    "back up",
    "restore",
    "lose witness",
    "spoil witness",
    "lose database",
)


class Machine:
    """A node's state folder, and what can happen to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self.witness = folder / "incarnation"
        self.backup = folder / "backup"
        self.store, self.other = self.open(), self.open()
        self.written: list[Record] = []

    def open(self) -> Store:
        return Store(self.path, AUTHOR, KEY.sign, 3)

    def happen(self, event: str) -> None:
        if event == "write":
            self.written.append(self.store.write("node", "a", {}))
            return
        if event == "other writer":
            self.written.append(self.other.write("node", "b", {}))
            return
        self.close()
        if event == "crash before commit":
            incarnation, seq, hlc = self.witness.read_text().split()
            self.witness.write_text(f"{incarnation} {int(seq) + 1} {int(hlc) + 1}\n")
        elif event == "back up":
            shutil.copy(self.path, self.backup)
        elif event == "restore" and self.backup.exists():
            shutil.copy(self.backup, self.path)
        elif event == "lose witness":
            self.witness.unlink()
        elif event == "spoil witness":
            self.witness.write_bytes(b"\0\0 x")
        elif event == "lose database":
            self.path.unlink()
        self.store, self.other = self.open(), self.open()

    def close(self) -> None:
        """Closing the last connection folds the log into the file."""
        self.store.database.close()
        self.other.database.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(EVENTS), max_size=25))
def test_no_stamp_is_used_twice_whatever_happens(events: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for event in [*events, "write", "other writer"]:
            machine.happen(event)
        machine.close()
    seqs = [(r.incarnation, r.seq) for r in machine.written]
    assert len(set(seqs)) == len(seqs)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([e for e in EVENTS if e != "lose database"]),
            st.floats(0, 2.0**46),
        ),
        max_size=20,
    )
)
def test_stamps_grow_with_clocks_set_back_or_far_ahead(
    events: list[tuple[str, float]],
) -> None:
    """But for a witness that is lost together with newer rows: no file is left
    then that knows the last stamp."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for event, now in [*events, ("write", 0.0), ("write", 0.0)]:
            if event in ("restore", "lose witness", "spoil witness"):
                continue
            with mock.patch.object(clock, "now", return_value=now):
                machine.happen(event)
        machine.close()
    hlcs = [r.hlc for r in machine.written]
    assert hlcs == sorted(set(hlcs))
    assert max(hlcs) < 2**63


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 2.0**46), st.sampled_from(["restore", "lose database"]))
def test_the_witness_keeps_the_time_of_a_database_that_went_back(
    now: float, event: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.happen("back up")
        with mock.patch.object(clock, "now", return_value=now):
            machine.happen("write")
        with mock.patch.object(clock, "now", return_value=0.0):
            machine.happen(event)
            machine.happen("write")
        machine.close()
    before, after = machine.written
    assert after.hlc > before.hlc
    assert after.incarnation != before.incarnation


def test_a_restart_without_accident_keeps_the_incarnation(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for event in ("write", "restart", "write", "other writer", "restart", "write"):
        machine.happen(event)
    machine.close()
    assert {r.incarnation for r in machine.written} == {machine.written[0].incarnation}
    assert [r.seq for r in machine.written] == [1, 2, 3, 4]


@given(st.integers(0, LATEST_MS << 16), st.integers(-(2**50), 2**60))
def test_logical_time_grows_and_fits_the_database(last: int, wall: int) -> None:
    assert last < tick(last, wall) < 2**63


RECORDS = st.builds(
    Record,
    kind=st.just("node"),
    id=st.just("a"),
    body=st.just({}),
    author=st.sampled_from(["a", "b"]),
    incarnation=st.sampled_from(["1", "2"]),
    seq=st.integers(1, 3),
    hlc=st.integers(1, 3),
    signature=st.sampled_from(["00", "01"]),
    deleted=st.booleans(),
)


def same(one: Record, other: Record) -> bool:
    """A signature is over everything: the same one means the same record."""
    return not wins(one, other) and not wins(other, one)


@given(RECORDS, RECORDS, RECORDS)
def test_winning_is_a_total_order(one: Record, two: Record, three: Record) -> None:
    assert not wins(one, one)
    assert wins(one, two) + wins(two, one) + same(one, two) == 1
    if wins(one, two) and wins(two, three):
        assert wins(one, three)
    if (one.hlc, one.author) > (two.hlc, two.author):
        assert wins(one, two)


@given(RECORDS, RECORDS, RECORDS)
def test_merging_is_commutative_associative_and_idempotent(
    one: Record, two: Record, three: Record
) -> None:
    assert same(merge(one, two), merge(two, one))
    assert same(merge(one, merge(two, three)), merge(merge(one, two), three))
    assert merge(one, one) == one
