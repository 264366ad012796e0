"""Accounts: names, roles, passwords, the last operator, and what ends with what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import audit, clock, state
from appliance.admin import (
    accounts,
    invitations,
    passwords,
    removal,
    rights,
    sessions,
    tokens,
)
from appliance.config import Settings
from appliance.problems import Conflict, EngineGone, Invalid, NotFound, Problem
from appliance.state.server import StateServer

PASSWORD, OTHER = "correct horse battery", "staple under the moon"
ADDRESS = "192.0.2.1"


@pytest.fixture(scope="module")
def hashed() -> str:
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def ada(state_server: StateServer, hashed: str) -> accounts.Account:
    return accounts.create("ada", hashed, ["operator"])


@pytest.fixture
def bo(ada: accounts.Account, hashed: str) -> accounts.Account:
    return accounts.create("bo", hashed, ["developer"])


def test_a_new_account_has_a_public_record_without_its_hash(
    bo: accounts.Account,
) -> None:
    record = state.find("account", bo.id)
    assert record and record.body == {"name": "bo", "roles": ["developer"]}


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 64, "ä", "a/b", "a\n"])
def test_a_name_that_is_no_dns_label_is_refused(
    ada: accounts.Account, name: str
) -> None:
    with pytest.raises(Invalid):
        accounts.create(name.replace("\n", "\n."), "", ["developer"])


def test_a_name_is_given_out_once(bo: accounts.Account) -> None:
    with pytest.raises(Conflict, match="already"):
        accounts.create("BO", "", ["developer"])


def test_a_deleted_owners_name_is_kept_while_its_agents_go_on(
    bo: accounts.Account,
) -> None:
    state.put("agent", "bo/echo", {"owner_name": "bo", "name": "echo"})
    assert removal.left_behind("bo") == {"agent": 1, "instance": 0}
    removal.delete("bo")
    assert state.find("account", bo.id) is None
    assert state.find("agent", "bo/echo") is not None
    with pytest.raises(Conflict, match="go on"):
        accounts.create("bo", "", ["developer"])
    state.remove("agent", "bo/echo")
    assert accounts.create("bo", "", ["developer"]).id != bo.id


def test_without_form_state_nothing_changes(
    bo: accounts.Account, settings: Settings
) -> None:
    (settings.run_dir / "state.sock").unlink()
    for change in (
        lambda: accounts.create("cy", "", ["developer"]),
        lambda: accounts.change_roles("bo", ["operator"]),
        lambda: removal.delete("bo"),
    ):
        with pytest.raises(EngineGone):
            change()
    assert not accounts.exists("cy")
    assert accounts.find(bo.id) == bo


@pytest.mark.parametrize("roles", [[], ["root"], ["operator", "king"]])
def test_unknown_roles_are_refused(ada: accounts.Account, roles: list[str]) -> None:
    with pytest.raises(Invalid):
        accounts.create("cy", "", roles)


def test_the_last_operator_stays_one(
    ada: accounts.Account, bo: accounts.Account
) -> None:
    for change in (
        lambda: removal.delete("ada"),
        lambda: accounts.disable("ada"),
        lambda: accounts.change_roles("ada", ["developer"]),
    ):
        with pytest.raises(Conflict, match="last operator"):
            change()
    accounts.change_roles("bo", ["operator"])
    accounts.disable("bo")
    with pytest.raises(Conflict, match="last operator"):
        removal.delete("ada")
    accounts.disable("bo", disabled=False)
    removal.delete("ada")
    found = accounts.operator()
    assert found and found.name == "bo"


def test_changed_roles_reach_the_record(bo: accounts.Account) -> None:
    accounts.change_roles("bo", ["auditor", "developer"])
    record = state.find("account", bo.id)
    assert record and record.body["roles"] == ["developer", "auditor"]


def test_a_disabled_account_is_nobody(bo: accounts.Account) -> None:
    session = sessions.begin(bo.id, ADDRESS, "")
    token, _ = tokens.create(bo, "ci", ["read"])
    accounts.disable("bo")
    assert sessions.find(session) is None
    assert tokens.find(token) is None
    with pytest.raises(Problem, match="wrong"):
        accounts.log_in("bo", PASSWORD, ADDRESS)
    accounts.disable("bo", disabled=False)
    assert tokens.find(token) is not None
    assert accounts.log_in("bo", PASSWORD, ADDRESS) == bo


def test_a_deleted_account_leaves_neither_session_nor_token(
    bo: accounts.Account,
) -> None:
    session = sessions.begin(bo.id, ADDRESS, "")
    token, _ = tokens.create(bo, "ci", ["read"])
    removal.delete("bo")
    assert sessions.find(session) is None
    assert tokens.find(token) is None
    with pytest.raises(NotFound):
        accounts.credential("bo")


def test_a_changed_password_ends_the_other_sessions(bo: accounts.Account) -> None:
    this, other = (sessions.begin(bo.id, ADDRESS, "") for _ in range(2))
    with pytest.raises(Invalid, match="present"):
        accounts.change_password(bo, "wrong", OTHER, ADDRESS, this)
    assert sessions.find(other)
    accounts.change_password(bo, PASSWORD, OTHER, ADDRESS, this)
    assert sessions.find(this)
    assert not sessions.find(other)
    assert accounts.log_in("bo", OTHER, ADDRESS) == bo
    with pytest.raises(Problem, match="wrong"):
        accounts.log_in("bo", PASSWORD, ADDRESS)


def test_a_link_sets_a_password_once(bo: accounts.Account) -> None:
    session = sessions.begin(bo.id, ADDRESS, "")
    first, second = invitations.create("bo"), invitations.create("bo")
    assert sessions.find(session) is None
    with pytest.raises(Problem, match="wrong"):
        accounts.log_in("bo", PASSWORD, ADDRESS)
    with pytest.raises(NotFound):
        invitations.accept(first, OTHER)
    with pytest.raises(Invalid):
        invitations.accept(second, "password123")
    assert invitations.accept(second, OTHER) == bo
    with pytest.raises(NotFound, match="used already"):
        invitations.accept(second, PASSWORD)
    assert accounts.log_in("bo", OTHER, ADDRESS) == bo


def test_a_link_ends_after_a_day(
    bo: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, later = invitations.create("bo"), clock.now() + 25 * 3600
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(NotFound, match="24 hours"):
        invitations.accept(link, OTHER)


def test_a_link_of_a_disabled_account_is_none(bo: accounts.Account) -> None:
    link = invitations.create("bo")
    accounts.disable("bo")
    with pytest.raises(NotFound):
        invitations.accept(link, OTHER)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password123",
        "Password1234!",
        "qwertyuiop123",
        "iloveyou2024",
        "1q2w3e4r5t6y",
        "administrator1",
        "formationformation",
        "aaaaaaaaaaaaaaaa",
        "ada is the operator",
        "x" * 2000,
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(Invalid):
        passwords.hash_password(password, "ada")


@pytest.mark.parametrize(
    "password",
    [PASSWORD, OTHER, "kJ7#mQ2!vX9z", "лес поёт у реки ночью", "9" + "ß€x" * 40],
)
def test_what_is_hard_to_guess_is_taken(password: str) -> None:
    assert passwords.fits(passwords.hash_password(password, "ada"), password)


def test_no_hash_fits_nothing() -> None:
    assert not passwords.fits("", "")
    assert not passwords.fits("nonsense", "nonsense")


OPERATOR = accounts.Account("1", "ada", ("operator",))
DEVELOPER = accounts.Account("2", "bo", ("developer",))
AUDITOR = accounts.Account("3", "eve", ("auditor",))


@pytest.mark.parametrize(
    ("account", "owner", "sees", "changes"),
    [
        (OPERATOR, "ada", True, True),
        (OPERATOR, "bo", True, True),
        (OPERATOR, None, True, True),
        (DEVELOPER, "bo", True, True),
        (DEVELOPER, "ada", False, False),
        (DEVELOPER, None, False, False),
        (AUDITOR, "bo", True, False),
        (AUDITOR, "eve", True, False),
        (AUDITOR, None, True, False),
    ],
)
def test_who_sees_and_changes_what(
    account: accounts.Account, owner: str | None, sees: bool, changes: bool
) -> None:
    assert rights.may_see(account, owner) == sees
    assert rights.may_change(account, owner) == changes


@given(st.sets(st.sampled_from(accounts.ROLES)), st.sampled_from(["a", "b", None]))
def test_whoever_may_change_may_also_see(roles: set[str], owner: str | None) -> None:
    account = accounts.Account("1", "a", tuple(roles))
    if rights.may_change(account, owner):
        assert rights.may_see(account, owner)


def test_rights_are_asked_anew(bo: accounts.Account) -> None:
    rights.authorise(bo.id, "developer", "bo")
    rights.authorise(bo.id, "developer", None)
    assert audit.rows(1) == []
    for role, owner, why in (
        ("developer", "ada", "may not change"),
        ("operator", "bo", "no longer the role"),
    ):
        with pytest.raises(Problem, match=why):
            rights.authorise(bo.id, role, owner)
    accounts.change_roles("bo", ["auditor"])
    with pytest.raises(Problem, match="no longer the role developer"):
        rights.authorise(bo.id, "developer", "bo")
    removal.delete("bo")
    with pytest.raises(Problem, match="gone or disabled"):
        rights.authorise(bo.id, "developer", "bo")
