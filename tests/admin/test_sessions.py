"""Sessions end by age, by idleness and by their account; tokens have their scopes."""

from __future__ import annotations

import pytest

from appliance import clock
from appliance.admin import accounts, rights, sessions, tokens
from appliance.admin.sessions import Session
from appliance.admin.tokens import ApiToken
from appliance.config import Settings
from appliance.problems import Invalid, NotFound, Problem
from appliance.state.server import StateServer

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Hands:
    """The hands of the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: self.now)


@pytest.fixture
def hands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Hands:
    return Hands(monkeypatch)


def test_only_the_tokens_hash_is_kept(settings: Settings) -> None:
    token = sessions.begin("1", "192.0.2.1", FIREFOX)
    assert token not in str(Session.get().__data__)
    assert sessions.find(token)
    assert sessions.find(token + "x") is None


def test_an_idle_session_ends(hands: Hands, settings: Settings) -> None:
    token = sessions.begin("1", "192.0.2.1", FIREFOX)
    for _ in range(3):
        hands.now += settings.auth.idle_hours * 3600 - 1
        assert sessions.find(token), "a used session goes on"
    hands.now += settings.auth.idle_hours * 3600 + 1
    assert sessions.find(token) is None
    sessions.begin("2", "192.0.2.1", FIREFOX)
    assert Session.select().count() == 1


def test_a_used_session_ends_at_its_age(hands: Hands, settings: Settings) -> None:
    token, end = sessions.begin("1", "", ""), settings.auth.session_hours * 3600
    began = hands.now
    while hands.now + 3600 < began + end:
        hands.now += 3600
        assert sessions.find(token)
    hands.now = began + end + 1
    assert sessions.find(token) is None


def test_that_it_was_used_is_noted_once_a_minute(hands: Hands) -> None:
    token, began = sessions.begin("1", "192.0.2.1", ""), hands.now
    hands.now += 59
    sessions.find(token, "192.0.2.2")
    assert (Session.get().seen, Session.get().address) == (began, "192.0.2.1")
    hands.now += 2
    sessions.find(token, "192.0.2.2")
    assert (Session.get().seen, Session.get().address) == (hands.now, "192.0.2.2")


def test_one_ends_ones_own_sessions_only(settings: Settings) -> None:
    mine, another, foreign = (sessions.begin(who, "", "") for who in ("1", "1", "2"))
    shown = {item.id: item.is_this for item in sessions.of("1", mine)}
    assert sorted(shown.values()) == [False, True]
    for wrong in (sessions.digest(foreign)[: sessions.ID], "", "%", "x" * 16):
        with pytest.raises(NotFound):
            sessions.end_one("1", wrong)
    sessions.end_one("1", sessions.digest(another)[: sessions.ID])
    assert sessions.find(another) is None
    assert sessions.end_all("1", but=mine) == 0
    assert sessions.find(mine)
    assert sessions.find(foreign)


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/140 Safari/537 Edg/140",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone) Version/18 Safari/604", "Safari on iPhone"),
        ("curl/8.0", "curl"),
        ("", "Unknown browser"),
        ("<script>", "Unknown browser"),
    ],
)
def test_a_browser_is_told_in_words(agent: str, shown: str) -> None:
    assert sessions.browser(agent) == shown


@pytest.fixture
def ada(state_server: StateServer) -> accounts.Account:
    return accounts.create("ada", "", ["operator"])


def test_a_token_is_kept_as_a_hash_and_ends(
    ada: accounts.Account, hands: Hands
) -> None:
    token, row = tokens.create(ada, "ci", ["read"], days=1)
    assert token not in str(row.__data__)
    bearer = tokens.find(token)
    assert bearer and bearer.account == ada
    hands.now += 86401
    assert tokens.find(token) is None


def test_that_a_token_was_used_is_noted_once_a_minute(
    ada: accounts.Account, hands: Hands
) -> None:
    token, _ = tokens.create(ada, "ci", ["read"])
    tokens.find(token)
    began = hands.now
    hands.now += 59
    tokens.find(token)
    assert ApiToken.get().used == began
    hands.now += 2
    tokens.find(token)
    assert ApiToken.get().used == hands.now


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ["read"], None),
        ("x" * 81, ["read"], None),
        ("ci", [], None),
        ("ci", ["root"], None),
        ("ci", ["read"], 0),
        ("ci", ["read"], -1),
        ("ci", ["read"], 10**9),
    ],
)
def test_nonsense_makes_no_token(
    ada: accounts.Account, name: str, scopes: list[str], days: int | None
) -> None:
    with pytest.raises(Invalid):
        tokens.create(ada, name, scopes, days)
    assert tokens.of(ada.id) == []


def test_a_token_makes_none_that_may_more_or_lasts_longer(
    ada: accounts.Account,
) -> None:
    token, _ = tokens.create(ada, "ci", ["admin"], days=2)
    maker = tokens.find(token)
    assert maker
    tokens.create(ada, "less", ["read"], 1, maker)
    for days in (None, 3):
        with pytest.raises(Problem, match="ends after itself"):
            tokens.create(ada, "longer", ["read"], days, maker)
    lesser = tokens.Bearer(ada, rights.widened(["deploy"]), None)
    for scope in ("admin", "tasks"):
        with pytest.raises(Problem, match="may do more"):
            tokens.create(ada, "more", [scope], None, lesser)


def test_one_revokes_ones_own_tokens_only(ada: accounts.Account) -> None:
    token, row = tokens.create(ada, "ci", ["read"])
    with pytest.raises(NotFound):
        tokens.revoke("another", row.id)
    tokens.revoke(ada.id, row.id)
    assert tokens.find(token) is None
