"""Operations go on after a crash, can be canceled, and fail with their reason."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import structlog

from appliance import operations, runner
from appliance.config import Settings
from appliance.operations import Kind, Run, Step
from appliance.problems import DiskFull, Problem


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def journal(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    done: list[str] = []

    def step(name: str) -> Step:
        def do(run: Run) -> None:
            run.memory[name] = len(run.memory)
            run.log(f"{name} done")
            done.append(name)

        return Step(name, name, do, lambda run: done.append(f"undo {name}"))

    def fail(run: Run) -> None:
        raise Problem("no-luck", "It did not work; try another.")

    kinds = {
        "good": Kind("good", tuple(step(name) for name in "abc")),
        "bad": Kind("bad", (step("a"), Step("b", "b", fail))),
    }
    monkeypatch.setattr(operations, "kinds", lambda: kinds)
    return done


def submit(kind: str) -> str:
    return operations.submit(kind, title="T", subject="s", params={}, account="x")


@pytest.mark.parametrize("boundary", ["a", "b", "c"])
def test_a_crash_after_any_step_repeats_none(journal: list[str], boundary: str) -> None:
    def crash(operation: str, step: str) -> None:
        if step == boundary:
            raise Crash

    id_ = submit("good")
    with pytest.raises(Crash):
        runner.execute(id_, "first", crash)
    assert runner.Runner().recover() == 1
    runner.execute(id_, "second")
    row = operations.get(id_)
    assert (row.state, journal) == ("completed", ["a", "b", "c"])


def test_a_runner_that_ends_leaves_its_work_to_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end, done = threading.Event(), threading.Event(), []

    def wait(run: Run) -> None:
        begun.set()
        while not may_end.wait(0.01):
            run.check()
        done.append(run.step)

    kind = Kind("long", (Step("a", "A", wait, lambda run: done.append("undone")),))
    monkeypatch.setattr(operations, "kinds", lambda: {"long": kind})
    id_ = submit("long")
    first = runner.Runner()
    first.round()
    assert begun.wait(10)
    first.stop()
    assert operations.get(id_).state == "working"
    assert first.round() == 0
    may_end.set()
    second = runner.Runner()
    second.recover()
    runner.execute(id_, second.worker)
    assert (operations.get(id_).state, done) == ("completed", ["a"])


def test_a_failure_is_kept_with_its_reason_and_undone(journal: list[str]) -> None:
    id_ = submit("bad")
    runner.execute(id_, "w")
    document = operations.as_document(operations.get(id_))
    assert document["state"] == "failed"
    assert document["error"]["detail"] == "It did not work; try another."
    assert journal == ["a", "undo a"]


def test_a_canceled_operation_ends_before_its_next_step(journal: list[str]) -> None:
    id_ = submit("good")
    operations.cancel(id_)
    runner.execute(id_, "w")
    assert operations.get(id_).state == "canceled"
    assert "a" not in journal


def test_an_unknown_kind_is_refused(journal: list[str]) -> None:
    with pytest.raises(Problem, match="no operation"):
        submit("other")


@pytest.mark.parametrize(
    ("freed", "state", "tries"), [(0, "failed", 1), (5 << 20, "completed", 2)]
)
def test_a_step_that_meets_a_full_disk_is_done_again_once_room_was_made(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    freed: int,
    state: str,
    tries: int,
) -> None:
    calls: list[str] = []

    def write(run: Run) -> None:
        calls.append(run.id)
        if len(calls) == 1:
            raise DiskFull("The layer does not fit.")

    kind = Kind("write", (Step("write", "Write", write),))
    monkeypatch.setattr(operations, "kinds", lambda: {"write": kind})
    id_ = submit("write")
    runner.execute(id_, "w", make_room=lambda: freed)
    assert (operations.get(id_).state, len(calls)) == (state, tries)
    lines = [line for *_, line in operations.log_lines(id_)]
    assert lines[0] == "the disk is full: The layer does not fit."
    assert ("nothing could be freed" in lines[1]) == (freed == 0)


def test_room_is_made_once_and_then_the_full_disk_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def write(run: Run) -> None:
        raise OSError(28, "No space left on device")

    kind = Kind("write", (Step("write", "Write", write),))
    monkeypatch.setattr(operations, "kinds", lambda: {"write": kind})
    id_ = submit("write")
    runner.execute(id_, "w", make_room=lambda: made.append(1) or 9)
    document = operations.as_document(operations.get(id_))
    assert document["error"]["type"] == "/problems/disk-full"
    assert made == [1]


class Right:
    """A right that ends after being asked for so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked: list[tuple[str, str, str | None]] = []

    def __call__(self, account: str, role: str, owner: str | None) -> None:
        self.asked.append((account, role, owner))
        self.left -= 1
        if self.left < 0:
            raise Problem("not-allowed", "Not done: the right has ended.")


def test_the_right_is_asked_for_before_each_step(journal: list[str]) -> None:
    id_, right = submit("good"), Right(9)
    runner.execute(id_, "w", authorise=right)
    assert operations.get(id_).state == "completed"
    assert right.asked == [("x", "developer", None)] * 3


def test_a_right_that_ended_ends_the_operation_and_undoes_it(
    journal: list[str],
) -> None:
    id_ = submit("good")
    runner.execute(id_, "w", authorise=Right(1))
    row = operations.get(id_)
    assert row.state == "failed"
    assert "right has ended" in (row.error or "")
    assert journal == ["a", "undo b", "undo a"]


def test_a_right_is_asked_for_again_after_a_crash(journal: list[str]) -> None:
    def crash(operation: str, step: str) -> None:
        raise Crash

    id_ = submit("good")
    with pytest.raises(Crash):
        runner.execute(id_, "first", crash, Right(9))
    runner.Runner().recover()
    runner.execute(id_, "second", authorise=Right(0))
    assert operations.get(id_).state == "failed"
    assert journal == ["a", "undo b", "undo a"]


def test_private_parameters_go_when_the_operation_ends(
    journal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = operations.kinds()["good"]
    kind = Kind("good", found.steps, private=("secret",))
    monkeypatch.setattr(operations, "kinds", lambda: {"good": kind})
    params = {"secret": "s3cret", "open": 1}
    id_ = operations.submit("good", title="", subject="", params=params, account="x")
    runner.execute(id_, "w")
    assert operations.get(id_).params == '{"open": 1}'


def test_what_an_operation_logs_has_the_id_of_the_request(
    journal: list[str], written: list[dict[str, Any]]
) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-12345678"):
        id_ = submit("good")
    found = runner.Runner()
    found.round()
    found._pool.shutdown()
    assert [(said["event"], said["request_id"]) for said in written] == [
        ("operation.ended", "r-12345678")
    ]
    assert operations.as_document(operations.get(id_))["request"] == "r-12345678"
