"""Logical lines of a Formfile and the words in them, each with its column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    text: str
    column: int


@dataclass(frozen=True)
class Line:
    """A directive and what follows it; `rest` begins at `rest_column`."""

    number: int
    column: int
    directive: str
    rest: str
    rest_column: int


class OpenQuote(ValueError):
    """A quotation that does not end; `column` is where it began."""

    def __init__(self, column: int) -> None:
        super().__init__("the quotation is not closed")
        self.column = column


def lines(text: str) -> Iterator[Line]:
    """Directives in order; comments and blank lines are skipped."""
    physical = text.split("\n")
    index = 0
    while index < len(physical):
        number = index + 1
        line = physical[index].rstrip("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            index += 1
            continue
        while line.endswith("\\") and index + 1 < len(physical):
            index += 1
            line = line[:-1] + " " + physical[index].rstrip("\r")
        index += 1
        yield _line(number, line)


def _line(number: int, line: str) -> Line:
    bare = line.lstrip()
    column = len(line) - len(bare)
    parts = bare.split(None, 1)
    rest = parts[1].rstrip() if len(parts) > 1 else ""
    at = line.index(rest, column + len(parts[0])) if rest else len(line)
    return Line(number, column + 1, parts[0], rest, at + 1)


def words(line: Line) -> list[Word]:
    """Split as a shell would (quotes, backslash); raises OpenQuote."""
    found: list[Word] = []
    text, start, quote, opened = "", -1, "", 0
    characters = iter(enumerate(line.rest))
    for at, character in characters:
        if character == "\\" and quote != "'":
            _, following = next(characters, (at, ""))
            text += following
            start = at if start < 0 else start
        elif quote:
            if character == quote:
                quote = ""
            else:
                text += character
        elif character in "\"'":
            quote, opened = character, at
            start = at if start < 0 else start
        elif character.isspace():
            if start >= 0:
                found.append(Word(text, line.rest_column + start))
            text, start = "", -1
        else:
            text += character
            start = at if start < 0 else start
    if quote:
        raise OpenQuote(line.rest_column + opened)
    if start >= 0:
        found.append(Word(text, line.rest_column + start))
    return found
