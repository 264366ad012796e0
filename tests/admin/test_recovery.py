"""The way back in from the node's console."""

from __future__ import annotations

import pytest

from appliance import audit
from appliance.admin import (
    accounts,
    invitations,
    passwords,
    recovery,
    second_factor,
    sessions,
    throttle,
)
from appliance.admin.second_factor import SecondFactor
from appliance.config import Settings
from appliance.problems import Conflict, Invalid, NotFound
from appliance.state.server import StateServer

PASSWORD = "correct horse battery"  # noqa: S105
LATER = "staple under the moon"


@pytest.fixture
def ada(settings: Settings, records: StateServer) -> accounts.Account:
    made = accounts.create("ada", passwords.hash_password(PASSWORD), ["operator"])
    SecondFactor.create(account=made.id, secret="x", confirmed=1.0)
    return made


def log_in(password: str) -> accounts.Account:
    return accounts.log_in("ada", password, "192.0.2.1")


def test_a_link_takes_the_place_of_all_that_was_lost(ada: accounts.Account) -> None:
    cookie = sessions.begin(ada.id, "192.0.2.1", "Firefox")
    for _ in range(10):
        with pytest.raises(Exception, match="wrong"):
            log_in("forgotten it all")
    assert throttle.locked_out("ada") == ["192.0.2.1"]
    token = recovery.reset("ada")
    assert sessions.find(cookie) is None
    assert not second_factor.is_on(ada.id)
    invitations.accept(token, LATER)
    assert log_in(LATER) == ada


def test_a_password_can_be_set_at_once(ada: accounts.Account) -> None:
    assert recovery.reset("ada", LATER) == ""
    assert log_in(LATER) == ada


def test_it_is_noted_without_what_was_set(ada: accounts.Account) -> None:
    recovery.reset("ada", LATER)
    row = audit.rows(1)[0]
    assert (row.address, row.subject, row.outcome) == ("console", "ada", "done")
    assert LATER not in str(row)


def test_a_weak_password_changes_nothing(ada: accounts.Account) -> None:
    with pytest.raises(Invalid):
        recovery.reset("ada", "short")
    assert second_factor.is_on(ada.id)
    assert log_in(PASSWORD) == ada


def test_who_is_unknown_or_disabled_is_said(ada: accounts.Account) -> None:
    with pytest.raises(NotFound, match="accounts: ada"):
        recovery.reset("eve")
    accounts.create("bo", "", ["developer"])
    accounts.disable("bo")
    with pytest.raises(Conflict, match="enable"):
        recovery.reset("bo")
