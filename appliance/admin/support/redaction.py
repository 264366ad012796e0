"""Takes secrets out of texts: those that are known, and what looks like one.

Nothing that the bundle gathers should hold any; this is for the day when something
does. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any
from urllib.parse import quote

MARK = "[removed]"
SHORTEST = 6  # what is shorter stands in words that are none
_NAMES = (
    "password|passwd|passphrase|pass_phrase|secret|token|api_?key|private_?key|csrf|otp"
)
_NAMED = re.compile(rf"(?i)(?<![A-Za-z])(?:{_NAMES})(?:s|_hash)?$")
_PATTERNS = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)",
            re.DOTALL,
        ),
        MARK,
    ),
    (
        re.compile(r"\$(?:argon2\w*|scrypt|[156y]|2[aby])\$[^\s\"']{8,}"),
        MARK,
    ),  # crypt(5)
    (re.compile(r"otpauth://[^\s\"']+"), MARK),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), MARK),
    (re.compile(r"\bform_[A-Za-z0-9_-]{20,}"), MARK),
    (re.compile(r"(://)[^\s/@:\"']{1,200}:[^\s/@\"']{1,200}@"), rf"\1{MARK}@"),
    (re.compile(r"(/password/)[A-Za-z0-9_-]{16,}"), rf"\1{MARK}"),
    (
        re.compile(
            r"(?i)((?:authorization|set-cookie|cookie)[\"']?\s*[:=]\s*[\"']?)[^\n\"']+"
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MARK}"),
    (
        re.compile(
            rf"(?i)\b([\w.-]{{0,40}}(?:{_NAMES})(?:s|_hash)?[\"']?\s*[:=]\s*)"
            r"(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s,;&}\]\"']+)"
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{32}(?![A-Za-z0-9])"), MARK),  # TOTP
    (
        re.compile(
            r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{40,}(?![\w-])"
        ),
        MARK,
    ),  # what secrets.token_urlsafe(32) makes
)


@dataclass(frozen=True)
class Redactor:
    """`known` are secrets of this node, however they are spelled."""

    known: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        for secret in self.known:
            text = text.replace(secret, MARK)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text

    def value(self, value: Any) -> Any:
        """The same in a document, as JSON has it; what is named like a secret goes."""
        if isinstance(value, str):
            return self.text(value)
        if is_dataclass(value) and not isinstance(value, type):
            return self.value(asdict(value))
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): MARK
                if _NAMED.search(str(key)) and isinstance(item, str) and item
                else self.value(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))


def redactor(secrets: Iterable[str]) -> Redactor:
    """One that knows these secrets, the longest first; short ones are left out."""
    found = {
        spelled
        for secret in secrets
        if len(secret) >= SHORTEST
        for spelled in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""))
    }
    return Redactor(tuple(sorted(found, key=lambda s: (-len(s), s))))
