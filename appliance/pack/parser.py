"""From the text of a Formfile to a `Formfile`, or every mistake at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from appliance.pack.directives import ALIASES, DIRECTIVES, ONCE, REST
from appliance.pack.draft import START, Draft
from appliance.pack.formfile import Diagnostic, Formfile
from appliance.pack.lexer import Line, Place, Unclosed, lines, words
from appliance.pack.passwd import hash_password
from appliance.pack.rules import finish
from appliance.pack.values import Wrong, shown

LONGEST = 1 << 20
SHIFTED = "\u00a0\u2007\u202f\u3000\ufeff\u200b"


@dataclass(frozen=True)
class Checked:
    """`formfile` is None when any diagnostic is an error."""

    formfile: Formfile | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.level == "error")


def check(
    text: str | bytes,
    context: Path | None = None,
    holds: Callable[[str], bool] | None = None,
) -> Checked:
    """Parse; with a context, also that every COPY finds its source inside it.
    `holds` says so of a context that is not unpacked yet."""
    refused = _refusal(text)
    if refused:
        return Checked(None, (refused,))
    draft = Draft(context, holds)
    for line in lines(decoded(text)):
        _read(draft, line)
    finish(draft)
    found = tuple(sorted(draft.found, key=lambda d: (d.line, d.column)))
    failed = any(item.level == "error" for item in found)
    return Checked(None if failed else Formfile(**draft.fields), found)


def decoded(text: str | bytes) -> str:
    """The text without a byte order mark, which some editors write."""
    if isinstance(text, bytes):
        text = text.decode()
    return text.removeprefix("\ufeff")


def _refusal(text: str | bytes) -> Diagnostic | None:
    """Why this is no text to read at all."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        raw.decode()
    except UnicodeError as error:
        before = (
            str(text)[: error.start] if isinstance(error, UnicodeEncodeError) else ""
        )
        if isinstance(error, UnicodeDecodeError):
            before = error.object[: error.start].decode(errors="replace")
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return _whole(place, "utf-8", "this is not UTF-8 text", "Save it as UTF-8.")
    if len(raw) > LONGEST:
        text = f"{len(raw)} bytes are more than a Formfile's {LONGEST}"
        return _whole(START, "size", text, "Files that it needs are for COPY.")
    if b"\0" in raw:
        before = raw[: raw.index(b"\0")].decode()
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        hint = "Is this the Formfile? It is a text."
        return _whole(place, "text", "a zero byte stands here", hint)
    return None


def _whole(place: Place, rule: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(place.line, place.column, "error", "", rule, message, hint)


def _read(draft: Draft, line: Line) -> None:
    draft.line = line
    draft.directive = name = ALIASES.get(line.directive, line.directive)
    for remark in line.remarks:
        draft.warn(remark.place, "continuation", remark.message, remark.hint)
    if name not in DIRECTIVES:
        return _unknown(draft, line)
    if name in draft.lines and name in ONCE:
        text = f"{line.directive} may stand once; it stands in line {draft.lines[name]}"
        return draft.error(draft.place(None), "once", text, "Remove one of the two.")
    draft.lines.setdefault(name, line.number)
    try:
        DIRECTIVES[name](draft, line, [] if name in REST else words(line))
    except Unclosed as error:
        text, hint = f"{line.directive}: {error}", "Close it on the same line."
        draft.error(line.place(error.at), "quotes", text, hint)
    except Wrong as wrong:
        at = line.place(line.rest_at if line.rest else line.directive_at)
        text = f"{line.directive} {wrong}"
        draft.error(at, wrong.rule, text, wrong.hint)
    return None


def _unknown(draft: Draft, line: Line) -> None:
    typed = line.directive
    if not typed:
        return
    draft.directive = shown(typed)
    near = get_close_matches(typed[:40].upper(), [*DIRECTIVES, *ALIASES], 1)
    hint = f"Did you mean {near[0]}?" if near else "docs/formfile.md lists them all."
    if any(mark in typed for mark in SHIFTED):
        hint = "It holds an unusual blank; write a plain one."
    message = f"{shown(typed)} is not a directive"
    draft.error(draft.place(None), "known", message, hint)


def conceal(text: str) -> str:
    """The text with hashes in place of the clear passwords of its USER lines;
    of a text that `check` accepts."""
    text = decoded(text)
    changes: list[tuple[int, int, str]] = []
    for line in lines(text):
        if line.directive != "USER":
            continue
        for word in words(line):
            if word.text.startswith(("passwd:", "passwd=")):
                hashed = f"passwd:{quote(hash_password(word.text[7:]))}"
                last = line.offset(word.end - 1) + 1
                changes.append((line.offset(word.start), last, hashed))
    for start, end, hashed in reversed(changes):
        text = text[:start] + hashed + text[end:]
    return text


def conceal_roughly(text: str) -> str:
    """The text, correct or not, without what looks like a clear password."""
    return re.sub(r"(\bpasswd[:=])(\"[^\"\n]*\"?|'[^'\n]*'?|\S+)", r"\1…", text)


def diagnostics_json(diagnostics: tuple[Diagnostic, ...]) -> str:
    """The findings as `form pack check --json` prints them."""
    return json.dumps([asdict(item) for item in diagnostics])
