"""Guessing is stopped by address and by account, and locks nobody out."""

from __future__ import annotations

import threading

import pytest

from appliance import clock, database, schema
from appliance.admin import throttle
from appliance.config import Settings
from appliance.problems import Problem


def fail(address: str, account: str = "") -> None:
    with pytest.raises(ValueError), throttle.attempt("login", address, account):
        raise ValueError


def succeed(address: str, account: str = "") -> None:
    with throttle.attempt("login", address, account):
        pass


@pytest.fixture
def limit(settings: Settings) -> int:
    return settings.auth.attempts


def test_one_address_fails_so_often_and_no_more(limit: int) -> None:
    for _ in range(limit):
        fail("192.0.2.1")
    with pytest.raises(Problem, match="Too many") as stopped:
        succeed("192.0.2.1")
    assert (stopped.value.status, stopped.value.retry_after) == (429, 600)
    succeed("192.0.2.2")
    with throttle.attempt("claim", "192.0.2.1"):
        pass


def test_success_counts_for_nothing(limit: int) -> None:
    for _ in range(limit * 3):
        succeed("192.0.2.1", "ada")


def test_what_is_long_ago_is_forgiven(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(limit):
        fail("192.0.2.1")
    later = clock.now() + throttle.WINDOW_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    succeed("192.0.2.1")


def test_attempts_survive_a_restart(limit: int, settings: Settings) -> None:
    for _ in range(limit):
        fail("192.0.2.1")
    database.node.close()
    schema.open_all(settings)
    with pytest.raises(Problem):
        succeed("192.0.2.1")


def test_many_at_once_are_no_way_around(limit: int) -> None:
    inside, go = threading.Barrier(limit + 1), threading.Event()

    def hold() -> None:
        with pytest.raises(ValueError), throttle.attempt("login", "192.0.2.1"):
            inside.wait(30)
            go.wait(30)
            raise ValueError
        database.node.close()

    threads = [threading.Thread(target=hold) for _ in range(limit)]
    for thread in threads:
        thread.start()
    inside.wait(30)
    with pytest.raises(Problem):
        succeed("192.0.2.1")
    go.set()
    for thread in threads:
        thread.join(30)


def many_addresses(limit: int, account: str) -> None:
    for number in range(limit * throttle.PER_ACCOUNT):
        fail(f"198.51.100.{number}", account)


def test_one_account_is_guessed_at_from_many_addresses_in_vain(limit: int) -> None:
    many_addresses(limit, "ada")
    with pytest.raises(Problem):
        succeed("203.0.113.1", "ada")
    succeed("203.0.113.1", "bo")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"])
def test_the_operator_is_not_locked_out(limit: int, address: str) -> None:
    throttle.remember("ada", "192.0.2.7")
    throttle.remember("ada", "2001:db8::1")
    many_addresses(limit, "ada")
    succeed(address, "ada")


def test_another_account_here_is_no_help(limit: int) -> None:
    throttle.remember("eve", "203.0.113.1")
    many_addresses(limit, "ada")
    with pytest.raises(Problem):
        succeed("203.0.113.1", "ada")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::", "2001:0db8:0001:0002::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("local", "local"),
    ],
)
def test_an_attacker_has_one_address_or_a_64(address: str, network: str) -> None:
    assert throttle.network(address) == network


def test_an_account_is_let_in_again_where_it_was_refused(limit: int) -> None:
    for _ in range(limit):
        fail("192.0.2.1", "ada")
    assert throttle.locked_out("ada", "id-of-ada") == ["192.0.2.1"]
    assert throttle.locked_out("bo") == []
    throttle.release("ada", "id-of-ada")
    assert throttle.locked_out("ada") == []
    succeed("192.0.2.1", "ada")


def test_an_account_that_many_guess_at_is_let_in_again(limit: int) -> None:
    for number in range(limit * throttle.PER_ACCOUNT):
        fail(f"198.51.100.{number}", "ada")
    assert throttle.locked_out("ada") == ["new addresses"]
    throttle.release("ada")
    succeed("192.0.2.7", "ada")


def test_letting_one_in_forgives_nobody_elses_failures(limit: int) -> None:
    for name in ("bo",) * (limit - 1) + ("ada",):
        fail("192.0.2.1", name)
    throttle.release("ada")
    fail("192.0.2.1", "ada")
    with pytest.raises(Problem, match="Too many"):
        succeed("192.0.2.1", "ada")


def test_a_lock_ends_by_itself(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(limit):
        fail("192.0.2.1", "ada")
    later = clock.now() + throttle.WINDOW_S + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    assert throttle.locked_out("ada") == []
