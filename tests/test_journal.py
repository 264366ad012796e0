"""An operation's log is bounded, and says where lines were left out."""

from __future__ import annotations

import pytest

from appliance import journal, operations, runner
from appliance.config import Settings
from appliance.operations import Kind, Operation, Run, Step


@pytest.fixture
def talker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """An operation that prints 200 lines where 40 are kept."""
    for name, value in (("HEAD", 10), ("TAIL", 20), ("SLACK", 10)):
        monkeypatch.setattr(journal, name, value)

    def talk(run: Run) -> None:
        for number in range(200):
            run.log(f"line {number}")

    kind = Kind("talk", (Step("talk", "Talk", talk),))
    monkeypatch.setattr(operations, "kinds", lambda: {"talk": kind})
    return operations.submit("talk", title="T", subject="", params={}, account="1")


def test_the_first_and_the_last_lines_stay(talker: str) -> None:
    runner.execute(talker, "w")
    lines = [line for *_, line in operations.log_lines(talker)]
    assert lines[:10] == [f"line {n}" for n in range(10)]
    assert lines[10] == "170 lines were left out here"
    assert lines[11:] == [f"line {n}" for n in range(180, 200)]


def test_a_short_log_is_left_alone(talker: str) -> None:
    for number in range(30):
        journal.add(talker, "talk", str(number))
    journal.trim(talker)
    assert [line for *_, line in journal.lines(talker)] == [str(n) for n in range(30)]


def test_one_endless_line_is_cut(talker: str) -> None:
    journal.add(talker, "talk", "x" * 10**6)
    assert len(journal.lines(talker)[0][3]) == journal.LONGEST


def test_ended_operations_beyond_the_newest_go_with_their_logs(talker: str) -> None:
    ids = [talker] + [
        operations.submit("talk", title="T", subject="", params={}, account="1")
        for _ in range(4)
    ]
    for id_ in ids[:4]:
        journal.add(id_, "talk", "one")
        Operation.update(state="completed").where(Operation.id == id_).execute()
    assert operations.trim(keep=2) == 2
    assert [row.id for row in operations.recent()] == ids[:1:-1]
    assert operations.log_lines(ids[0]) == []


def test_old_operations_go_unless_they_are_at_work(talker: str) -> None:
    Operation.update(created=0.0).execute()
    assert operations.trim(keep=100) == 0
    Operation.update(state="failed").execute()
    assert operations.trim(keep=100) == 1
