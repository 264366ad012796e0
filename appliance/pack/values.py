"""Values of arguments: each function takes a word and returns what it means, or
raises Wrong with the sentence that a person needs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from appliance.pack.diagnostics import Wrong, nearest, shown
from appliance.pack.lexer import Word

USERNAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def wrong(rule: str, word: Word, message: str, hint: str = "") -> Wrong:
    """A mistake that shows the word: `128: at least 512 (MiB)`."""
    return Wrong(rule, f"{shown(word.text)}: {message}", word, hint)


def label(text: str) -> str:
    """A DNS label made of any text; empty when nothing is left."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63].strip("-")


def number(
    word: Word,
    low: int,
    high: int,
    unit: str = "",
    suffixes: dict[str, int] | None = None,
) -> int:
    """A whole number within its bounds; a suffix multiplies it."""
    known = suffixes or {}
    match = re.fullmatch(r"([0-9]{1,15})([A-Za-z]*)", word.text)
    factor = known.get(match[2].upper()) if match and match[2] else 1
    if not match or factor is None:
        hint = f"A suffix may follow: {' or '.join(known)}" if known else ""
        raise wrong("number", word, f"a whole number is needed{unit}", hint)
    value = int(match[1]) * factor
    if value < low:
        raise wrong("range", word, f"at least {low}{unit}")
    if value > high:
        raise wrong("range", word, f"at most {high}{unit}")
    return value


def choice(word: Word, known: Iterable[str], text: str | None = None) -> str:
    """One of the known words."""
    found = word.text if text is None else text
    if found in known:
        return found
    near = nearest(found.lower(), known)
    hint = f"Did you mean {near}?" if near else ""
    raise wrong("choice", word, f"one of {', '.join(known)} is needed", hint)


def matching(word: Word, pattern: re.Pattern[str], rule: str, message: str) -> str:
    """The word, when it has this form."""
    if not pattern.fullmatch(word.text):
        raise wrong(rule, word, message)
    return word.text


def username(word: Word) -> str:
    message = "a to z, 0 to 9, _ and - only, a letter or _ first, at most 32"
    return matching(word, USERNAME, "username", message)


def key(word: Word) -> str:
    message = "letters, digits and _ only, and no digit first"
    return matching(word, KEY, "key", message)


def host(word: Word, text: str) -> str:
    """A domain name in lower case, of two labels or more."""
    name = text.lower()
    if len(name) > 253 or not _HOST.fullmatch(name):
        hint = "Letters, digits and - between dots; other scripts in their xn-- form"
        raise wrong("host", word, "a domain name such as www.example.org", hint)
    return name


def absolute(word: Word) -> str:
    """A path from the root, without `.` and `..`."""
    if not word.text.startswith("/"):
        raise wrong("absolute", word, "an absolute path is needed, with / first")
    if {".", ".."} & set(word.text.split("/")):
        raise wrong("absolute", word, "a path without . and .. is needed")
    return word.text


def boolean(word: Word, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise wrong("boolean", word, f"one of {', '.join((*_TRUE, *_FALSE))} is needed")


def commas(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
