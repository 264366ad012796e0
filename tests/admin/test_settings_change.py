"""A change of the settings: written as a whole or not at all, and kept in mind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import audit, config, operations, runner
from appliance.admin import accounts, settings_change, settings_file, settings_history
from appliance.admin.rights import authorise
from appliance.config import Settings
from appliance.problems import Conflict, Invalid
from appliance.state.server import StateServer

OLD = "# mine\n[dns]\nttl = 30\n"
NEW = "# mine\n[dns]\nttl = 60\n"
Change = Callable[..., operations.Operation]


@pytest.fixture
def file(settings: Settings) -> Path:
    path = config.config_file()
    path.write_text(OLD)
    return path


@pytest.fixture
def ada(records: StateServer) -> accounts.Account:
    return accounts.create("ada", "", ("operator",))


@pytest.fixture
def change(file: Path, ada: accounts.Account) -> Change:
    """Submit a change of the file, and run it as formation-jobs does."""

    def run(text: str, why: str = "") -> operations.Operation:
        tag = settings_file.read().tag
        id_ = settings_change.submit(ada, text, tag, why)
        runner.execute(id_, "jobs", authorise=authorise)
        return operations.get(id_)

    return run


def test_the_file_is_replaced_with_its_mode_and_nothing_is_left(
    file: Path, change: Change
) -> None:
    file.chmod(0o640)
    before = file.stat()
    assert change(NEW).state == "completed"
    assert file.read_text() == NEW
    assert file.stat().st_ino != before.st_ino
    assert file.stat().st_mode == before.st_mode
    assert [p.name for p in file.parent.glob(".*")] == []


def test_a_link_stays_a_link(file: Path, change: Change, tmp_path: Path) -> None:
    target = file.rename(tmp_path / "elsewhere.toml")
    file.symlink_to(target)
    assert change(NEW).state == "completed"
    assert file.is_symlink() and target.read_text() == NEW


def test_a_missing_file_is_made_for_all_to_read(file: Path, change: Change) -> None:
    file.unlink()
    before = os.umask(0o077)
    try:
        assert change(NEW).state == "completed"
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o644


def test_the_history_says_who_what_and_why(change: Change) -> None:
    change(NEW, why="answers may  be kept longer")
    row = settings_history.newest()[0]
    assert (row.account, row.why) == ("ada", "answers may be kept longer")
    assert (row.before, row.after) == (OLD, NEW)
    audited = audit.rows(1)[0]
    assert (audited.account, audited.subject) == ("ada", "dns.ttl: 30 → 60")


def test_what_an_editor_changed_is_in_the_history_too(
    file: Path, change: Change
) -> None:
    change(NEW)
    file.write_text(NEW + "port = 53\n")
    change(OLD)
    found = [(row.account, row.why) for row in settings_history.newest()]
    assert found == [("ada", ""), ("", settings_history.BY_HAND), ("ada", "")]


def test_the_history_is_bounded(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_history, "KEPT", 3)
    for text in (NEW, OLD, NEW, OLD, NEW):
        change(text)
    assert len(settings_history.newest(10)) == 3


def test_a_crash_after_the_writing_loses_no_history(
    file: Path, ada: accounts.Account
) -> None:
    id_ = settings_change.submit(ada, NEW, settings_file.read().tag, "")
    run = operations.Run(id_, ada.id, "", {"text": NEW, "tag": "", "why": ""}, {})
    run.memory["before"] = OLD
    settings_file.write(file, NEW)
    settings_change.write(run)
    settings_change.write(run)
    assert [row.after for row in settings_history.newest()] == [NEW]


def test_two_who_edit_at_once_do_not_overwrite_each_other(
    file: Path, ada: accounts.Account
) -> None:
    tag = settings_file.read().tag
    ids = [
        settings_change.submit(ada, NEW, tag, ""),
        settings_change.submit(ada, OLD + "port = 53\n", tag, ""),
    ]
    for id_ in ids:
        runner.execute(id_, "jobs")
    second = operations.get(ids[1])
    assert second.state == "failed" and "changed since you opened it" in second.error
    assert file.read_text() == NEW
    with pytest.raises(Conflict, match="since you opened it"):
        settings_change.submit(ada, OLD, tag, "")


def test_who_is_no_operator_any_more_changes_nothing(
    file: Path, ada: accounts.Account
) -> None:
    accounts.create("bo", "", ("operator",))
    id_ = settings_change.submit(ada, NEW, settings_file.read().tag, "")
    accounts.change_roles("ada", ("developer",))
    runner.execute(id_, "jobs", authorise=authorise)
    assert operations.get(id_).state == "failed"
    assert file.read_text() == OLD


def test_a_wrong_text_is_refused_again_where_it_is_written(
    file: Path, ada: accounts.Account
) -> None:
    wrong = {"text": "[dns]\nttl = -1\n", "tag": settings_file.read().tag, "why": ""}
    id_ = operations.submit(
        "settings", title="", subject="", params=wrong, account=ada.id
    )
    runner.execute(id_, "jobs")
    found = operations.get(id_)
    assert found.state == "failed" and "dns.ttl" in found.error
    assert file.read_text() == OLD


@pytest.mark.parametrize(
    ("text", "why"), [("[dns]\nttl = -1\n", ""), ("[dns", ""), (NEW, "x" * 301)]
)
def test_what_is_wrong_is_not_even_queued(
    file: Path, ada: accounts.Account, text: str, why: str
) -> None:
    with pytest.raises(Invalid, match=r"Nothing was changed\."):
        settings_change.submit(ada, text, settings_file.read().tag, why)
    assert operations.recent() == []


def test_the_text_is_not_kept_with_the_operation(change: Change) -> None:
    assert "mine" not in change(NEW).params
