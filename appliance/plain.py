"""Text from guests, made harmless for terminals and pages. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements (ECMA-48, CSI)
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and other strings (OSC, DCS)
    r"|\x1b[ -/]*[0-~]"
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def harmless(text: str) -> str:
    """Without escape sequences; other control characters become `\\ufffd`.

    Tabs and line feeds stay. What reverses the direction of text goes too.
    """
    shown = _CONTROL.sub("\ufffd", _SEQUENCE.sub("", text))
    return shown.encode("utf-8", "replace").decode()


def pretty(value: Any) -> str:
    """JSON as people read it, made harmless."""
    return harmless(json.dumps(value, indent=2, ensure_ascii=False))
