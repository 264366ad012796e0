"""Which service depends on which, as boxes and lines. Pure.

Boxes stand in columns: what depends on nothing is left, and each service stands right
of all that it needs. A line that others imply is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

WIDTH, HEIGHT, GAP_X, GAP_Y, EDGE = 132, 36, 56, 18, 8


@dataclass(frozen=True)
class Box:
    """Left upper corner in pixels."""

    name: str
    state: str
    x: int
    y: int


@dataclass(frozen=True)
class Line:
    """From the right side of what is needed to the left side of who needs it."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def path(self) -> str:
        """Of an SVG path: a curve that leaves and arrives level."""
        bend = (self.x1 + self.x2) // 2
        return (
            f"M{self.x1} {self.y1} C{bend} {self.y1} {bend} {self.y2} "
            f"{self.x2} {self.y2}"
        )


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    sentences: tuple[str, ...]


def columns(depends: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The column of each name; what is not among the names is not counted."""
    graph = {name: set(needs) & set(depends) for name, needs in depends.items()}
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = max((found[need] + 1 for need in graph[name]), default=0)
    return found


def drawn(name: str, depends: Mapping[str, Sequence[str]]) -> list[str]:
    """What a service needs, without what it needs anyway by way of another."""
    own = [need for need in depends[name] if need in depends]
    others = {far for need in own for far in reach(need, depends)}
    return [need for need in own if need not in others]


def reach(name: str, depends: Mapping[str, Sequence[str]]) -> set[str]:
    """All that a service needs, near and far."""
    near = {need for need in depends[name] if need in depends}
    return near.union(*(reach(need, depends) for need in near))


def draw(depends: Mapping[str, Sequence[str]], states: Mapping[str, str]) -> Drawing:
    """The drawing, and the same in sentences."""
    column, rows, boxes = columns(depends), dict[int, int](), dict[str, Box]()
    for name in sorted(depends, key=lambda n: (column[n], n)):
        row = rows.get(column[name], 0)
        rows[column[name]] = row + 1
        x = EDGE + column[name] * (WIDTH + GAP_X)
        y = EDGE + row * (HEIGHT + GAP_Y)
        boxes[name] = Box(name, states.get(name, "stopped"), x, y)
    lines = tuple(
        Line(
            boxes[need].x + WIDTH,
            boxes[need].y + HEIGHT // 2,
            box.x,
            box.y + HEIGHT // 2,
        )
        for name, box in boxes.items()
        for need in drawn(name, depends)
    )
    return Drawing(
        max((box.x for box in boxes.values()), default=0) + WIDTH + EDGE,
        max((box.y for box in boxes.values()), default=0) + HEIGHT + EDGE,
        tuple(boxes.values()),
        lines,
        tuple(
            f"{name} needs {', '.join(needs)}" if needs else f"{name} needs nothing"
            for name, needs in depends.items()
        ),
    )
