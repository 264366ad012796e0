"""A fix is an operation that looks, mends and looks again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance import events, operations, runner
from appliance.admin import accounts
from appliance.admin.repairs import kept, looking, mending
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.admin.rights import authorise
from appliance.config import Settings
from appliance.operations import Operation, Run
from appliance.problems import Conflict, NotFound, Problem
from appliance.state.server import StateServer


class Pipe:
    """Something that can leak, and a check of it. `mends` says whether mending helps,
    `loses` what it costs."""

    def __init__(self) -> None:
        self.leaks, self.mends, self.loses, self.mended = True, True, "", 0
        self.text = "It drips."
        self.repair = Repair("pipe", "Pipe", self.find, self.mend)

    def find(self, settings: Settings) -> Iterator[Issue]:
        if self.leaks:
            fix = Fix("Mend it", self.loses)
            yield Issue("warning", "A leak", self.text, "Mend it.", "kitchen", fix)

    def mend(self, run: Run, subject: str) -> None:
        assert subject == "kitchen"
        self.mended += 1
        self.leaks = not self.mends


@pytest.fixture
def pipe(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Pipe:
    made = Pipe()
    monkeypatch.setattr(looking, "repairs", lambda: {"pipe": made.repair})
    looking.refresh(settings)
    return made


@pytest.fixture
def ada(records: StateServer) -> accounts.Account:
    return accounts.create("ada", "", ("operator",))


def done(id_: str) -> Operation:
    runner.execute(id_, "jobs", authorise=authorise)
    return operations.get(id_)


def test_it_helps_and_says_so(pipe: Pipe, ada: accounts.Account) -> None:
    row = done(mending.request("pipe:kitchen", ada.id, False))
    assert (row.state, row.result) == ("completed", '{"helped": "yes"}')
    assert row.title == "Mend it: A leak"
    assert kept.found() == []
    assert events.lately(1)[0].text == "Mended: pipe:kitchen"


def test_it_does_not_help_and_says_so(pipe: Pipe, ada: accounts.Account) -> None:
    pipe.mends = False
    row = done(mending.request("pipe:kitchen", ada.id, False))
    assert row.state == "failed"
    assert "did not help: It drips. Mend it." in (row.error or "")
    assert pipe.mended == 1


def test_what_is_well_by_then_is_left_alone(pipe: Pipe, ada: accounts.Account) -> None:
    id_ = mending.request("pipe:kitchen", ada.id, False)
    pipe.leaks = False
    assert done(id_).state == "completed"
    assert pipe.mended == 0


def test_what_loses_something_is_confirmed_first(
    pipe: Pipe, settings: Settings, ada: accounts.Account
) -> None:
    pipe.loses = "The wall is opened."
    looking.refresh(settings)
    with pytest.raises(Conflict, match=r"The wall is opened\. Nothing was done"):
        mending.request("pipe:kitchen", ada.id, False)
    assert operations.recent() == []
    assert done(mending.request("pipe:kitchen", ada.id, True)).state == "completed"


def test_what_is_another_than_was_confirmed_is_not_done(
    pipe: Pipe, settings: Settings, ada: accounts.Account
) -> None:
    pipe.loses = "The wall is opened."
    looking.refresh(settings)
    id_ = mending.request("pipe:kitchen", ada.id, True)
    pipe.loses = "The house is torn down."
    row = done(id_)
    assert (row.state, pipe.mended) == ("failed", 0)
    assert "Nothing was done" in (row.error or "")


def test_one_thing_is_mended_at_a_time(pipe: Pipe, ada: accounts.Account) -> None:
    mending.request("pipe:kitchen", ada.id, False)
    with pytest.raises(Conflict, match="one thing is mended at a time"):
        mending.request("pipe:kitchen", ada.id, False)


def test_what_cannot_be_mended_says_what_to_do(
    pipe: Pipe, ada: accounts.Account
) -> None:
    by_hand = Issue("info", "Rust", "It rusts.", "Paint it.")
    kept.keep("pipe", "Pipe", [by_hand])
    with pytest.raises(Conflict, match="Paint it"):
        mending.request("pipe", ada.id, True)
    with pytest.raises(NotFound):
        mending.request("pipe:roof", ada.id, True)


def test_only_operators_mend(pipe: Pipe, ada: accounts.Account) -> None:
    bo = accounts.create("bo", "", ("developer",))
    row = done(mending.request("pipe:kitchen", bo.id, False))
    assert (row.state, pipe.mended) == ("failed", 0)


def test_a_check_that_is_gone_fails_with_a_sentence(
    pipe: Pipe, ada: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = mending.request("pipe:kitchen", ada.id, False)
    monkeypatch.setattr(looking, "repairs", dict)
    assert "There is no check 'pipe'" in (done(id_).error or "")


def test_all_look_by_an_operation_once(pipe: Pipe, ada: accounts.Account) -> None:
    pipe.leaks = False
    id_ = mending.request_look(ada.id)
    assert mending.request_look(ada.id) == id_
    assert (done(id_).result, kept.count()) == ('{"repairs": 0}', 0)


def test_a_fix_waits_for_the_operation_that_does_it(
    pipe: Pipe, ada: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And ends as that does; a crash between asks for no second one."""
    asked: list[str] = []

    def submit() -> str:
        asked.append("once")
        return operations.submit(
            "alert-test", title="t", subject="nobody", params={}, account=ada.id
        )

    id_ = mending.request("pipe:kitchen", ada.id, False)
    run = Run(id_, ada.id, "pipe:kitchen", {}, {}, step="mend")
    with monkeypatch.context() as patch:
        patch.setattr(operations, "get", crash)
        with pytest.raises(InterruptedError):
            mending.follow(run, submit)
    other = run.memory["operation"]
    assert done(other).state == "failed"
    with pytest.raises(Problem, match="not told to any 'nobody'"):
        mending.follow(run, submit)
    assert asked == ["once"]


def crash(id_: str) -> None:
    raise InterruptedError


def test_a_check_that_is_broken_keeps_what_it_found_and_ends_no_other(
    pipe: Pipe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(settings: Settings) -> Iterator[Issue]:
        raise KeyError("bug")
        yield

    broken = Repair("pipe", "Pipe", find)
    well = Repair("well", "Well", lambda settings: ())
    monkeypatch.setattr(looking, "repairs", lambda: {"pipe": broken, "well": well})
    looking.refresh(settings)
    assert [row.id for row in kept.found()] == ["pipe:kitchen"]
    troubles = {look.name: look.trouble for look in kept.looks()}
    assert troubles == {"pipe": "KeyError: 'bug'", "well": ""}


def test_a_check_that_finds_a_hundred_things_says_so_in_few(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(settings: Settings) -> Iterator[Issue]:
        for number in range(99):
            yield Issue("warning", "Small", f"{number}", "", f"s{number}")
        yield Issue("critical", "Large", "It is.", "", "large")

    monkeypatch.setattr(looking, "repairs", lambda: {"m": Repair("m", "Many", find)})
    looking.refresh(settings)
    rows = kept.found()
    assert len(rows) == looking.MOST + 1
    assert (rows[0].title, rows[-1].text) == ("Large", "80 more were found: Small.")
