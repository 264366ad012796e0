"""Versions that the node chooses."""

from appliance.market.names import next_version


def test_the_first_build_is_0_1_0() -> None:
    assert next_version([], "b") == "0.1.0"


def test_the_same_build_keeps_its_version() -> None:
    assert next_version([("0.1.0", "a"), ("2.0.0", "b")], "a") == "0.1.0"


def test_a_new_build_raises_the_highest_patch() -> None:
    assert next_version([("0.9.9", "a"), ("0.10.1", "b")], "c") == "0.10.2"
