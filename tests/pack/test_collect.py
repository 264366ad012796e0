"""What a collection chooses: the oldest first, and never what is needed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.pack.collect import by_age, choose
from appliance.pack.store import Item


def layer(key: str, used: float, parent: str = "", size: int = 10) -> Item:
    return Item("layer", key, key, size, used, Path(key), parent)


def image(key: str, used: float, size: int = 10) -> Item:
    return Item("image", key, key, size, used, Path(key))


def keys(items: list[Item]) -> list[str]:
    return [item.key for item in items]


def test_nothing_goes_below_the_bound() -> None:
    assert choose([image("a", 1), layer("b", 2)], (), 20) == []


def test_the_least_recently_used_go_until_it_fits() -> None:
    items = [image("new", 3), image("old", 1), layer("middle", 2)]
    assert keys(choose(items, (), 19)) == ["old", "middle"]


def test_what_is_in_use_stays_and_counts() -> None:
    items = [image("old", 1), image("new", 2)]
    assert keys(choose(items, {"old"}, 10)) == ["new"]
    assert choose(items, {"old", "new"}, 0) == []


def test_a_layer_goes_after_those_that_stand_on_it() -> None:
    """A build takes the base first, so its time is older than its layers'."""
    items = [layer("base", 1), layer("install", 2, "base"), layer("copy", 3, "install")]
    assert keys(by_age(items)) == ["copy", "install", "base"]
    assert keys(choose(items, (), 20)) == ["copy"]


def test_a_base_that_a_new_layer_needs_outlives_an_old_image() -> None:
    items = [layer("base", 1), layer("copy", 9, "base"), image("old", 5)]
    assert keys(choose(items, (), 20)) == ["old"]


def test_what_stands_on_a_layer_that_is_gone_goes_in_any_case() -> None:
    items = [layer("copy", 1, "install"), layer("install", 2, "base")]
    assert keys(choose(items, (), 1000)) == ["copy", "install"]
    assert choose(items, {"copy", "install"}, 1000) == []


def test_notes_that_point_in_a_circle_end() -> None:
    items = [layer("a", 1, "b"), layer("b", 2, "a")]
    assert sorted(keys(choose(items, (), 0))) == ["a", "b"]


names = st.sampled_from("abcdefgh")
layers = st.builds(
    layer, names, st.floats(0, 9), st.one_of(st.just(""), names), st.integers(0, 99)
)
sets = st.lists(layers, unique_by=lambda i: i.key)


@given(sets, st.sets(names), st.integers(0, 300))
def test_it_fits_afterwards_or_only_what_is_used_is_left(
    items: list[Item], used: set[str], bound: int
) -> None:
    gone = {item.key for item in choose(items, used, bound)}
    left = [item for item in items if item.key not in gone]
    assert not gone & used
    fits = sum(item.bytes for item in left) <= bound
    assert fits or {item.key for item in left} <= used
