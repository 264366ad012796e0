r"""Logical lines of a Formfile and the words in them, each with its place.

Words are what `shlex.split` makes of a line. A line that ends in `\` goes on in the
next one; comments and blank lines in between are skipped, as everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

BLANKS = " \t\r"


@dataclass(frozen=True)
class Place:
    """Counted from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True)
class Word:
    """`start` and `end` are offsets in its line, quotation marks included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Piece:
    """What one line of the file gave to a logical line: where it begins there
    (`at`), in the file (`offset`), and on which line."""

    at: int
    offset: int
    number: int
    column: int


@dataclass(frozen=True)
class Remark:
    """Something about a line's form that a person should know."""

    place: Place
    message: str
    hint: str


@dataclass(frozen=True)
class Line:
    """A directive and what follows it; `rest` begins at `rest_at`."""

    text: str
    pieces: tuple[Piece, ...]
    directive: str
    directive_at: int
    rest: str
    rest_at: int
    remarks: tuple[Remark, ...] = ()

    @property
    def number(self) -> int:
        return self.pieces[0].number

    def place(self, at: int) -> Place:
        """Where a character of the line stands in the file."""
        piece = self._piece(at)
        return Place(piece.number, piece.column + at - piece.at)

    def offset(self, at: int) -> int:
        """The same as an offset in the file's text."""
        piece = self._piece(at)
        return piece.offset + at - piece.at

    def _piece(self, at: int) -> Piece:
        return self.pieces[bisect_right(self.pieces, at, key=lambda p: p.at) - 1]


class Unclosed(ValueError):
    """A quotation or an escape without an end; `at` is where it began."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True)
class _Physical:
    text: str
    offset: int
    number: int

    @property
    def is_skipped(self) -> bool:
        bare = self.text.strip(BLANKS)
        return not bare or bare.startswith("#")


def _physical(text: str) -> Iterator[_Physical]:
    offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        yield _Physical(line.removesuffix("\r"), offset, number)
        offset += len(line) + 1


def lines(text: str) -> Iterator[Line]:
    """Directives in order."""
    parts: list[_Physical] = []
    skipped: list[_Physical] = []
    for line in _physical(text):
        if line.is_skipped:
            skipped.append(line)
            continue
        if not parts:
            skipped.clear()
        parts.append(line)
        if not line.text.endswith("\\"):
            yield _join(parts, skipped)
            parts, skipped = [], []
    if parts:
        yield _join(parts, skipped)


def _join(parts: list[_Physical], skipped: list[_Physical]) -> Line:
    text, pieces = "", []
    for part in parts:
        pieces.append(Piece(len(text), part.offset, part.number, 1))
        text += part.text.removesuffix("\\")
    bare = text.strip(BLANKS)
    start = len(text) - len(text.lstrip(BLANKS))
    length = next((n for n, c in enumerate(bare) if c in BLANKS), len(bare))
    rest = bare[length:].lstrip(BLANKS)
    rest_at = start + len(bare) - len(rest)
    remarks = tuple(_remarks(parts, skipped))
    directive = bare[:length]
    return Line(text, tuple(pieces), directive, start, rest, rest_at, remarks)


def _remarks(parts: list[_Physical], skipped: list[_Physical]) -> Iterator[Remark]:
    last = parts[-1]
    if last.text.endswith("\\"):
        yield Remark(
            Place(last.number, len(last.text)),
            "the file ends in a line that goes on",
            "Remove the backslash at its end.",
        )
    elif last.text.rstrip(BLANKS).endswith("\\"):
        yield Remark(
            Place(last.number, len(last.text.rstrip(BLANKS))),
            "blanks follow the backslash, so the line does not go on",
            "Remove the blanks after the backslash.",
        )
    for line in skipped:
        if parts[0].number < line.number < last.number and not line.text.strip(BLANKS):
            yield Remark(
                Place(line.number, 1),
                f"the line above goes on after this blank line, in line {last.number}",
                "Remove the blank line, or the backslash above it.",
            )


def words(line: Line) -> list[Word]:
    """Split as a shell would; raises Unclosed."""
    found: list[Word] = []
    at, end = 0, len(line.rest)
    while at < end:
        if line.rest[at] in BLANKS:
            at += 1
            continue
        text, after = _word(line, at)
        found.append(Word(text, line.rest_at + at, line.rest_at + after))
        at = after
    return found


def _word(line: Line, start: int) -> tuple[str, int]:
    """The word that begins at `start` of the rest, and where it ends."""
    rest, at, parts = line.rest, start, list[str]()
    while at < len(rest) and rest[at] not in BLANKS:
        if rest[at] in "\"'":
            inner, at = _quotation(line, at)
            parts.append(inner)
        elif rest[at] == "\\":
            if at + 1 == len(rest):
                raise Unclosed("nothing follows the backslash", line.rest_at + at)
            parts.append(rest[at + 1])
            at += 2
        else:
            parts.append(rest[at])
            at += 1
    return "".join(parts), at


def _quotation(line: Line, start: int) -> tuple[str, int]:
    """What stands between quotation marks, and where it ends. In double ones a
    backslash takes away the meaning of `"` and of itself, and of nothing else."""
    rest, mark, parts = line.rest, line.rest[start], list[str]()
    at = start + 1
    while at < len(rest):
        character = rest[at]
        if character == mark:
            return "".join(parts), at + 1
        if character == "\\" and mark == '"' and rest[at + 1 : at + 2] in ('"', "\\"):
            at += 1
        parts.append(rest[at])
        at += 1
    raise Unclosed("the quotation is not closed", line.rest_at + start)
