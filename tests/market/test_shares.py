"""Shares: no key starves another."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.market.shares import Shares


def test_a_key_has_at_most_its_own() -> None:
    shares = Shares(10, 2)
    assert [shares.take("a") for _ in range(3)] == [True, True, False]
    shares.give("a")
    assert shares.take("a")


def test_when_all_are_out_a_newcomer_gets_one() -> None:
    shares = Shares(2, 2)
    assert [shares.take("a") for _ in range(3)] == [True, True, False]
    assert [shares.take("b") for _ in range(2)] == [True, False]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_bounds_hold_whatever_happens(moves: list[tuple[bool, str]]) -> None:
    shares = Shares(4, 3)
    for takes, key in moves:
        if takes:
            before = shares.taken(key)
            assert shares.take(key) or before > 0
        elif shares.taken(key):
            shares.give(key)
        assert all(0 <= shares.taken(key) <= 3 for key in "abc")
        assert sum(shares.taken(key) for key in "abc") <= 4 + 3
