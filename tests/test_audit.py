"""The audit log is a chain: whatever is changed in it from outside is found."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from appliance import audit, state
from appliance.audit import Audit
from appliance.config import Settings
from appliance.state.server import StateServer
from jobs import clock as timetable


def note(*numbers: int) -> None:
    for number in numbers:
        audit.note("ada", "192.0.2.1", f"POST /x{number}", "thing", "done")


def test_an_untouched_log_is_whole(settings: Settings) -> None:
    assert audit.verify({}) == []
    assert audit.ends() == {}
    note(*range(5))
    ends = audit.ends()
    assert (ends["first"], ends["last"], ends["previous"]) == (1, 5, "")
    assert audit.verify(ends) == []
    note(6)
    assert audit.verify(ends) == []


CHANGES: dict[str, Callable[[], object]] = {
    "Row 3 was changed": lambda: (
        Audit.update(action="POST /y").where(Audit.id == 3).execute()
    ),
    "The account of row 3 was changed": lambda: (
        Audit.update(account="bo").where(Audit.id == 3).execute()
    ),
    "Row 4 does not follow row 2": lambda: (
        Audit.delete().where(Audit.id == 3).execute()
    ),
    "The rows from 1 to 2 are gone": lambda: (
        Audit.delete().where(Audit.id < 3).execute()
    ),
    "The rows up to 5, which was signed, are gone": lambda: (
        Audit.delete().where(Audit.id > 3).execute()
    ),
}


@pytest.mark.parametrize("said", CHANGES)
def test_every_kind_of_change_is_found(settings: Settings, said: str) -> None:
    note(*range(5))
    ends = audit.ends()
    CHANGES[said]()
    assert said in " ".join(audit.verify(ends))


def test_a_chain_that_was_made_anew_is_not_the_signed_one(settings: Settings) -> None:
    note(*range(5))
    ends = audit.ends()
    Audit.delete().execute()
    note(*range(10, 15))
    Audit.update(id=Audit.id - 5).where(Audit.id > 5).execute()
    assert audit.verify(ends)


@how(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    column=st.sampled_from(("address", "action", "subject", "outcome", "previous")),
    which=st.integers(0, 4),
    text=st.text(max_size=5),
)
def test_no_column_can_be_changed_unseen(
    settings: Settings, column: str, which: int, text: str
) -> None:
    Audit.delete().execute()
    note(*range(5))
    ends = audit.ends()
    row = Audit.select().order_by(Audit.id).offset(which).first()
    before = getattr(row, column)
    setattr(row, column, text)
    row.save()
    assert bool(audit.verify(ends)) == (text != before)


def test_a_name_can_be_erased_and_the_chain_holds(settings: Settings) -> None:
    note(1, 2)
    ends = audit.ends()
    assert audit.erase("ada") == 2
    assert [row.account for row in audit.rows(10)] == ["", ""]
    assert audit.verify(ends) == []


def test_a_person_can_be_erased_with_place_and_mention_and_the_chain_holds(
    settings: Settings,
) -> None:
    note(1)
    audit.note("bo", "192.0.2.1", "POST /roles", "ada", "done")
    audit.note("bo", "192.0.2.9", "POST /x", "adamant", "done")
    audit.note("", "192.0.2.1", "POST /login", "", "refused")
    ends = audit.ends()
    assert audit.addresses_of("ada", "01") == {"192.0.2.1"}
    gone = audit.erase(
        "ada", "01", addresses=["192.0.2.1"], mentions=lambda text: text == "ada"
    )
    assert gone == 2
    rows = [(r.account, r.address, r.subject) for r in audit.rows(9)][::-1]
    assert rows == [
        ("", "", "thing"),
        ("bo", "192.0.2.1", ""),
        ("bo", "192.0.2.9", "adamant"),
        ("", "", ""),
    ]
    assert audit.verify(ends) == []
    again = {"account": "eve", "address": "192.0.2.7", "subject": "x"}
    for column, text in again.items():
        row = Audit.get_by_id(2 if column == "subject" else 1)
        before = getattr(row, column)
        Audit.update(**{column: text}).where(Audit.id == row.id).execute()
        assert audit.verify(ends), column
        Audit.update(**{column: before}).where(Audit.id == row.id).execute()
    assert audit.verify(ends) == []


def test_rows_from_before_addresses_were_digests_stay_verifiable(
    settings: Settings,
) -> None:
    row = Audit(time=1.0, account="ada", address="192.0.2.1", action="x", subject="y")
    row.outcome, row.salt, row.previous = "done", "s", ""
    row.named = audit.digest("s", "ada")
    row.hash = audit.link(row)
    row.save(force_insert=True)
    note(1)
    ends = audit.ends()
    assert audit.verify(ends) == []
    assert audit.erase("ada") == 2
    assert audit.rows(9)[-1].address == "192.0.2.1"
    assert audit.verify(ends) == []


def test_what_is_old_goes_and_the_rest_is_signed_anew(
    settings: Settings, records: StateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_ADMIN__AUDIT_KEPT", "100")
    note(*range(120))
    config = settings.model_copy(
        update={"admin": settings.admin.model_copy(update={"audit_kept": 100})}
    )
    timetable.tend_audit(config)
    (record,) = state.select("audit")
    assert (record.body["first"], record.body["last"]) == (21, 120)
    assert audit.verify(record.body) == []


def test_many_writers_make_one_chain(settings: Settings) -> None:
    threads = [threading.Thread(target=note, args=range(5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.count() == 20
    assert audit.verify(audit.ends()) == []


def test_rows_from_before_the_chain_do_not_break_it(settings: Settings) -> None:
    old = {"salt": "", "named": "", "previous": "", "hash": ""}
    about = {"account": "ada", "address": "", "action": "x", "subject": ""}
    Audit.create(time=1.0, outcome="done", **about, **old)
    note(1)
    assert audit.verify(audit.ends()) == []
