"""The directives that there are, and what a directive's function works with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from appliance.pack.diagnostics import Wrong, nearest, shown
from appliance.pack.formfile import Diagnostic
from appliance.pack.lexer import Line, Word


@dataclass
class Draft:
    """What the file said so far: single values, and lists in file order."""

    single: dict[str, Any] = field(default_factory=dict)
    lists: defaultdict[str, list[Any]] = field(
        default_factory=lambda: defaultdict(list)
    )
    clear: dict[str, str] = field(default_factory=dict)
    places: list[tuple[Any, Call, Word]] = field(default_factory=list)
    keys: set[tuple[str, Any]] = field(default_factory=set)
    found: list[Diagnostic] = field(default_factory=list)

    def is_new(self, kind: str, key: Any) -> bool:
        """Whether this is the first of its kind with that key."""
        known = (kind, key) in self.keys
        self.keys.add((kind, key))
        return not known


@dataclass(frozen=True)
class Directive:
    name: str
    read: Callable[[Call], None]
    aliases: tuple[str, ...] = ()
    takes_rest: bool = False
    once: bool = False
    single: bool = False


@dataclass
class Call:
    """One use of a directive; `written` is its name or alias as the file has it."""

    directive: Directive
    written: str
    line: Line
    words: tuple[Word, ...]
    draft: Draft

    @property
    def rest(self) -> Word:
        return self.line.rest

    def one(self, example: str) -> Word:
        """The only argument."""
        if len(self.words) == 1 and self.words[0].text:
            return self.words[0]
        if not self.words or not self.words[0].text:
            raise Wrong("arguments", "an argument is missing", None, f"Write {example}")
        raise Wrong(
            "arguments",
            f"takes one argument, not {len(self.words)}",
            self.words[1],
            f'Quote one that holds blanks, as "a b"; or write {example}',
        )

    def some(self, example: str) -> tuple[Word, ...]:
        """One argument or more."""
        empty = next((word for word in self.words if not word.text), None)
        if not self.words or empty:
            raise Wrong(
                "arguments", "an argument is missing", empty, f"Write {example}"
            )
        return self.words

    def note(
        self,
        rule: str,
        message: str,
        word: Word | None = None,
        hint: str = "",
        is_error: bool = False,
    ) -> None:
        """Report at the word, or where the arguments begin; reading goes on."""
        line, column = self.line.at((word or self.rest).start)
        self.draft.found.append(
            Diagnostic(
                line,
                column,
                "error" if is_error else "warning",
                self.directive.name,
                rule,
                f"{self.written} {message}" if message else self.written,
                hint,
            )
        )

    def fail(self, wrong: Wrong) -> None:
        self.note(wrong.rule, wrong.message, wrong.word, wrong.hint, is_error=True)

    def each(self, found: Iterable[Word], read: Callable[[Word], None]) -> None:
        """Read every word, so that each wrong one is reported."""
        for word in found:
            try:
                read(word)
            except Wrong as wrong:
                wrong.word = wrong.word or word
                self.fail(wrong)


DIRECTIVES: dict[str, Directive] = {}
ALIASES: dict[str, str] = {}


def directive(
    name: str,
    *aliases: str,
    rest: bool = False,
    once: bool = False,
    single: bool = False,
) -> Callable[[Callable[[Call], None]], Callable[[Call], None]]:
    """Make the function the directive's. `once`: a second one is an error;
    `single`: a second one counts, with a warning; `rest`: words are not split."""

    def add(read: Callable[[Call], None]) -> Callable[[Call], None]:
        DIRECTIVES[name] = Directive(name, read, aliases, rest, once, single)
        ALIASES.update(dict.fromkeys(aliases, name))
        return read

    return add


_ELSEWHERE = {
    "CMD": "ENTRYPOINT",
    "ADD": "COPY",
    "ARG": "ENV",
    "LABEL": "TAGS",
    "PORT": "EXPOSE",
    "MAINTAINER": "DESCRIPTION",
}


def unknown(line: Line) -> Diagnostic:
    """That there is no such directive, and which is meant."""
    word = line.directive
    number, column = line.at(word.start)
    upper = word.text.upper()
    near = _ELSEWHERE.get(upper) or nearest(upper, [*DIRECTIVES, *ALIASES])
    hint = f"Did you mean {near}?" if near else f"Known are {', '.join(DIRECTIVES)}"
    text = shown(word.text)
    message = f"{text}: there is no such directive"
    return Diagnostic(number, column, "error", text, "known", message, hint)
