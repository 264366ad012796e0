"""A Formfile while it is read: what its lines gave so far, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from appliance.pack.formfile import Diagnostic
from appliance.pack.lexer import Line, Place, Word
from appliance.pack.values import Wrong

Value = TypeVar("Value")
START = Place(1, 1)


@dataclass
class Draft:
    """`context` or, of what is not unpacked, `holds` says what can be copied;
    `fields` are the Formfile's; `lines` has each directive's first line;
    `places` says where words stand that rules about the whole file speak of."""

    context: Path | None = None
    holds: Callable[[str], bool] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    line: Line | None = None
    directive: str = ""

    def add(self, name: str, *items: Any) -> None:
        self.fields[name] = (*self.fields.get(name, ()), *items)

    def get(self, name: str) -> tuple[Any, ...]:
        return tuple(self.fields.get(name, ()))

    def place(self, word: Word | None) -> Place:
        """Of the word, else of the directive that is read."""
        if self.line is None:
            return START
        return self.line.place(word.start if word else self.line.directive_at)

    def mark(self, kind: str, name: str, word: Word) -> None:
        self.places.setdefault((kind, name), self.place(word))

    def error(self, place: Place, rule: str, message: str, hint: str = "") -> None:
        at = (place.line, place.column)
        self.found.append(Diagnostic(*at, "error", self.directive, rule, message, hint))

    def warn(self, place: Place, rule: str, message: str, hint: str = "") -> None:
        at = (place.line, place.column)
        self.found.append(
            Diagnostic(*at, "warning", self.directive, rule, message, hint)
        )

    def refuse(self, wrong: Wrong, word: Word | None = None) -> None:
        typed = self.line.directive if self.line else self.directive
        self.error(self.place(word), wrong.rule, f"{typed} {wrong}", wrong.hint)

    def read(self, word: Word, convert: Callable[[str], Value]) -> Value | None:
        """The word's value, or None once its error is noted."""
        try:
            return convert(word.text)
        except Wrong as wrong:
            self.refuse(wrong, word)
            return None

    def is_new(self, name: str, value: Any, word: Word, shown: str) -> bool:
        """Whether the field does not hold the value already; else a warning."""
        if value not in self.get(name):
            return True
        text = f"{self.directive} {shown} is there twice"
        self.warn(self.place(word), "twice", text, "Remove one.")
        return False
