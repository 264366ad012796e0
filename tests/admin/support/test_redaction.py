"""What looks like a secret goes; what does not stays."""

from __future__ import annotations

import json
import secrets

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin.support.redaction import MARK, Redactor, redactor

PLAIN = Redactor()
HIDDEN = (
    "password=hunter22",
    'PASSWORD: "hun ter22"',
    "db_password = 'hunter22'",
    '{"password": "hunter22"}',
    "Authorization: Bearer hunter22hunter22",
    "Authorization: Basic aHVudGVyMjI=",
    "bearer hunter22hunter22",
    "Cookie: formation=hunter22; other=hunter22",
    "POST https://ops:hunter22@hook.example/path",
    "https://hook.example/path?token=hunter22&a=b",
    "otpauth://totp/x?secret=hunter22",
    "signed with whsec_hunter22",
    "root:$6$salt$hunter22hunter22:19000",
    "form_hunter22hunter22hunter22",
    "/password/hunter22hunter22",
    "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter22\nhunter22",
)
SHOWN = (
    "formation-web is silent for 31 s",
    "the image 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "operation 01jqz8x3v9k2m4n6p8r0t2w4y6",
    "node.passphrase_file /etc/formation/phrase",
    "GET /api/v1/admin/tokens 200",
    "the password was changed",
    "level=info event=request route=/password/<token>",
)


@pytest.mark.parametrize("text", HIDDEN)
def test_what_is_named_or_shaped_like_a_secret_goes(text: str) -> None:
    for form in (text, f"before {text} after"):
        assert "hunter" not in PLAIN.text(form)
        assert MARK in PLAIN.text(form)


@pytest.mark.parametrize("text", SHOWN)
def test_what_is_none_stays(text: str) -> None:
    assert PLAIN.text(text) == text


def test_what_the_node_makes_goes_by_its_shape_alone() -> None:
    for _ in range(50):
        for secret in (secrets.token_urlsafe(32), pyotp.random_base32()):
            shown = PLAIN.text(f"went wrong with {secret}, sorry")
            # one token in thousands has no digit, or no capital
            if any(c.isdigit() for c in secret) and not secret.isupper():
                assert secret not in shown


def test_known_secrets_go_however_they_are_spelled() -> None:
    secret = 'a "b" ä/ö'
    clean = redactor([secret, "short"])
    text = f"{secret} | {json.dumps(secret)} | a%20%22b%22%20%C3%A4%2F%C3%B6 | short"
    assert clean.text(text) == f'{MARK} | "{MARK}" | {MARK} | short'


def test_documents_are_cleaned_in_their_depth() -> None:
    document = {
        "list": [("password=hunter22",)],
        "token": "hunter22",
        "has_secret": True,
        "secrets": {"inner": "whsec_hunter22"},
        "count": 7,
        "none": None,
        "when": object,
    }
    found = PLAIN.value(document)
    assert "hunter22" not in json.dumps(found)
    assert (found["has_secret"], found["count"], found["none"]) == (True, 7, None)


@given(st.text(max_size=300), st.text(min_size=6, max_size=30))
def test_a_known_secret_is_in_no_text(text: str, secret: str) -> None:
    if secret in MARK or any(part in MARK for part in (secret[:6], secret[-6:])):
        return
    clean = redactor([secret]).text(text + secret + text)
    assert secret not in clean or secret in clean.replace(MARK, "")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_document_becomes_json(value: object) -> None:
    json.dumps(PLAIN.value(value))


def test_hostile_lines_take_no_time_to_speak_of() -> None:
    """Each would take minutes with a pattern that backtracks."""
    for piece in ("a.", "a-", "password", "Aa1-", "://a", "bearer ", '"\\', "x="):
        PLAIN.text(piece * (40_000 // len(piece)))
