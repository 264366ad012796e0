"""The graph of what needs what: columns, boxes, lines, and the same in words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.graph import HEIGHT, WIDTH, columns, draw, drawn, reach

NAMES = [f"s{number}" for number in range(8)]


@st.composite
def graphs(pick: st.DrawFn) -> dict[str, list[str]]:
    """Services that need only earlier ones."""
    return {
        name: pick(st.lists(st.sampled_from(NAMES[:number]), unique=True))
        if number
        else []
        for number, name in enumerate(NAMES)
    }


@given(graphs())
def test_each_stands_right_of_what_it_needs_and_on_none(
    depends: dict[str, list[str]],
) -> None:
    column, drawing = columns(depends), draw(depends, {})
    for name, needs in depends.items():
        assert all(column[need] < column[name] for need in needs)
    places = {(box.x, box.y) for box in drawing.boxes}
    assert len(places) == len(NAMES)
    assert len(drawing.lines) <= sum(map(len, depends.values()))
    for box in drawing.boxes:
        assert box.x + WIDTH <= drawing.width
        assert box.y + HEIGHT <= drawing.height


def test_a_line_that_others_imply_is_left_out() -> None:
    needs = {"state": [], "net": ["state"], "vmm": ["state", "net"]}
    assert drawn("vmm", needs) == ["net"]
    assert len(draw(needs, {}).lines) == 2


@given(graphs())
def test_what_is_left_out_is_still_reached(depends: dict[str, list[str]]) -> None:
    shown = {name: drawn(name, depends) for name in depends}
    assert all(reach(n, shown) == reach(n, depends) for n in depends)


def test_it_is_said_in_sentences_too() -> None:
    drawing = draw({"dns": ["state"], "state": []}, {"dns": "running"})
    assert drawing.sentences == ("dns needs state", "state needs nothing")
    assert [box.state for box in drawing.boxes] == ["stopped", "running"]


def test_what_is_not_installed_is_not_drawn() -> None:
    assert draw({"dns": ["state"]}, {}).lines == ()
