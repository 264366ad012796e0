"""What is wrong with a Formfile, as an exception while reading and as JSON after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict

from appliance.pack.formfile import Diagnostic
from appliance.pack.lexer import Word


class Wrong(Exception):
    """A rule is broken at `word`; without one, at the line's arguments."""

    def __init__(
        self, rule: str, message: str, word: Word | None = None, hint: str = ""
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.word = word
        self.hint = hint


def shown(text: str, longest: int = 48) -> str:
    """Text of a file in a message: short, and nothing that cannot be seen."""
    seen = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return seen if len(seen) <= longest else seen[:longest] + "…"


def nearest(text: str, known: Iterable[str]) -> str:
    """The known word that is most like it, or nothing."""
    from difflib import get_close_matches

    if len(text) > 48:
        return ""
    return next(iter(get_close_matches(text, list(known), 1)), "")


def diagnostics_json(diagnostics: Iterable[Diagnostic]) -> str:
    """`[{line, column, level, directive, rule, message, hint}]`."""
    return json.dumps([asdict(item) for item in diagnostics])
