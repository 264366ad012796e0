"""Guests' text on terminals and pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plain import harmless


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1b(Bx", "x"),
        ("over\rwritten", "over\ufffdwritten"),
        ("\x9b31m", "\ufffd31m"),
        ("\x1b", "\ufffd"),
        ("safe\u202etxt", "safe\ufffdtxt"),
        ("\ud800", "?"),
        ("größe 日本", "größe 日本"),
    ],
)
def test_escapes_go_and_text_stays(raw: str, shown: str) -> None:
    assert harmless(raw) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_that_drives_a_terminal_is_left(text: str) -> None:
    left = harmless(text)
    left.encode()
    assert all(c in "\t\n" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in left)
