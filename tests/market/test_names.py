"""Versions that the node chooses."""

from __future__ import annotations

import pytest

from appliance.market.names import Known, newest, next_version


def known(*versions: str) -> list[Known]:
    return [Known(version, f"b{n}", f"i{n}") for n, version in enumerate(versions)]


def test_the_first_build_is_0_1_0() -> None:
    assert next_version([], "b", "i") == "0.1.0"


def test_the_same_build_keeps_its_version() -> None:
    assert next_version(known("0.1.0", "2.0.0"), "b0", "i0") == "0.1.0"


def test_a_build_that_was_made_again_is_another_version() -> None:
    before = known("0.1.0", "2.0.0")
    assert next_version(before, "b0", "other") == "2.0.1"
    after = [*before, Known("2.0.1", "b0", "other")]
    assert next_version(after, "b0", "other") == "2.0.1"
    assert next_version(after, "b0", "i0") == "0.1.0"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (("0.9.9", "0.10.1"), "0.10.2"),
        (("1.0.0", "1.0.0-rc.1"), "1.0.1"),
        (("1.0.0-rc.1", "0.9.0"), "1.0.1"),
        (("1.0.0+build.9", "1.0.0"), "1.0.1"),
    ],
)
def test_a_new_build_raises_the_highest_patch(
    versions: tuple[str, ...], expected: str
) -> None:
    assert next_version(known(*versions), "new", "new") == expected


def test_pre_releases_come_before_their_release() -> None:
    rising = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11"]
    rising += ["1.0.0-rc.1", "1.0.0", "1.0.1"]
    for lower, higher in zip(rising, rising[1:], strict=False):
        assert newest([higher, lower]) == newest([lower, higher]) == higher
