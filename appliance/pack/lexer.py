"""Logical lines of a Formfile and the words in them, each with its place.

A line that ends in a `\\` goes on in the next, as in a shell; words follow the
rules of Python's `shlex`. Places are offsets in the logical line, which `Line.at`
turns into the line and column that a person sees.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

BLANKS = " \t\r"
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)\""""
    r"""|\\(?P<escaped>.)|(?P<plain>[^ \t\r'"\\]+)|(?P<open>.)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True)
class Word:
    """`start` and `end` are offsets in the logical line, quotes included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """A physical line; `source` is the offset of its first character."""

    number: int
    source: int
    text: str

    @property
    def is_comment(self) -> bool:
        return self.text.lstrip(BLANKS).startswith("#")

    @property
    def goes_on(self) -> bool:
        """An even number of backslashes is escaped ones."""
        return (len(self.text) - len(self.text.rstrip("\\"))) % 2 == 1


@dataclass(frozen=True)
class Line:
    """A directive and its arguments, joined from `rows`, which begin at `starts`."""

    text: str
    rows: tuple[Row, ...]
    starts: tuple[int, ...]
    is_cut: bool

    def _row(self, offset: int) -> int:
        return bisect_right(self.starts, offset) - 1

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1."""
        index = self._row(offset)
        return self.rows[index].number, offset - self.starts[index] + 1

    def source(self, offset: int) -> int:
        """The offset in the whole text."""
        index = self._row(offset)
        return self.rows[index].source + offset - self.starts[index]

    @property
    def directive(self) -> Word:
        start = len(self.text) - len(self.text.lstrip(BLANKS))
        name = re.split(f"[{BLANKS}]", self.text[start:], maxsplit=1)[0]
        return Word(name, start, start + len(name))

    @property
    def rest(self) -> Word:
        """Everything after the directive, without the blanks around it."""
        after = self.text[self.directive.end :]
        start = len(self.text) - len(after.lstrip(BLANKS))
        text = after.strip(BLANKS)
        return Word(text, start, start + len(text))


class OpenQuote(ValueError):
    """A quotation or an escape that does not end; `start` is where it began."""

    def __init__(self, start: int, character: str) -> None:
        super().__init__(f"the {character} is not closed")
        self.start = start
        self.character = character


def rows(text: str) -> Iterator[Row]:
    """Physical lines; a carriage return before the line's end is not part of it."""
    source = 0
    for number, line in enumerate(text.split("\n"), 1):
        yield Row(number, source, line.removesuffix("\r"))
        source += len(line) + 1


def lines(text: str) -> Iterator[Line]:
    """Directives in order; comments and blank lines are skipped."""
    every = rows(text)
    for row in every:
        if row.text.strip(BLANKS) and not row.is_comment:
            yield _joined(row, every)


def _joined(first: Row, following: Iterator[Row]) -> Line:
    """A comment between two parts is skipped; a blank line ends the whole."""
    parts, texts, starts, length = [first], [], [0], 0
    while parts[-1].goes_on:
        texts.append(parts[-1].text[:-1])
        length += len(texts[-1])
        after = next((row for row in following if not row.is_comment), None)
        if after is None:
            return Line("".join(texts), tuple(parts), tuple(starts), True)
        parts.append(after)
        starts.append(length)
    texts.append(parts[-1].text)
    return Line("".join(texts), tuple(parts), tuple(starts), False)


def words(line: Line) -> list[Word]:
    """The arguments, split as a shell would; raises OpenQuote."""
    return split(line.text, line.directive.end)


def split(text: str, begin: int = 0) -> list[Word]:
    """Words from `begin` on, as `shlex.split` has them; raises OpenQuote."""
    found: list[Word] = []
    parts: list[str] = []
    start = -1
    for token in _TOKEN.finditer(text, begin):
        kind = str(token.lastgroup)
        if kind == "open":
            raise OpenQuote(token.start(), token["open"])
        if kind != "blank":
            start = token.start() if start < 0 else start
            part = token[kind]
            parts.append(_ESCAPED.sub(r"\1", part) if kind == "double" else part)
        elif start >= 0:
            found.append(Word("".join(parts), start, token.start()))
            parts, start = [], -1
    if start >= 0:
        found.append(Word("".join(parts), start, len(text)))
    return found
