"""The Formfile's language: every mistake at its place, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.pack import (
    Diagnostic,
    as_document,
    build_id,
    check,
    conceal,
    diagnostics_json,
    from_document,
)
from appliance.pack.directives import ALIASES, DIRECTIVES

GOOD = """NAME summarizer
DESCRIPTION Summarises documents on request
MODEL preferred:gpt-4
VCPU 2
MEM 2G
DISK 10
USER username:webdev sudo:true \\
  ssh_authorized_keys:"ssh-ed25519 AAAA me@host" groups:video
ENV APP_MODE=prod
ENV --scope=service:agent PORT=8000
INSTALL python3 \\
  curl
RUN python3 -m compileall /app
WORKDIR /app
EXPOSE 8000 9000/udp
SECRET API_KEY
ENTRYPOINT ["python3", "/app/agent.py"]
"""


def test_a_whole_formfile_is_read() -> None:
    checked = check(GOOD)
    assert checked.diagnostics == ()
    formfile = checked.formfile
    assert formfile is not None
    assert formfile.memory_mib == 2048
    assert formfile.users[0].groups == ("video",)
    assert formfile.agent_port == 8000
    assert formfile.steps[0].packages == ("python3", "curl")
    assert from_document(json.loads(json.dumps(as_document(formfile)))) == formfile


def test_a_clear_password_is_hashed_at_once() -> None:
    text = "NAME a\nUSER username:bob passwd:hunter2hunter2\nENTRYPOINT x"
    formfile = check(text).formfile
    assert formfile is not None
    assert (formfile.users[0].passwd_hash or "").startswith("$")
    assert "hunter2" not in json.dumps(as_document(formfile, whole=True))


def test_build_id_follows_the_content_but_not_the_password(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")

    def id_of(password: str) -> str:
        text = f"NAME a\nUSER username:b passwd:{password}\nCOPY a /a\nENTRYPOINT x"
        formfile = check(text).formfile
        assert formfile is not None
        return build_id(formfile, "debian:13", tmp_path)

    first = id_of("one-password")
    assert first == id_of("other-password")
    (tmp_path / "a").write_text("2")
    assert first != id_of("one-password")


@pytest.mark.parametrize(
    ("content", "line", "column", "part"),
    [
        (b"NAME a\nRUN \xff", 2, 5, "not UTF-8"),
        ("NAME a\nRUN \ud800", 2, 5, "not UTF-8"),
        (b"NAME a\n\0", 2, 1, "zero byte"),
        (b"\x7fELF\x02\x01\x01\0", 1, 8, "zero byte"),
        (b"RUN " + b"x" * (1 << 20), 1, 1, "more than a Formfile's"),
    ],
    ids=["bytes", "surrogate", "zero", "binary", "size"],
)
def test_what_is_no_text_is_refused(
    content: str | bytes, line: int, column: int, part: str
) -> None:
    (found,) = check(content).diagnostics
    assert (found.line, found.column) == (line, column)
    assert part in found.message
    assert found.hint


def test_a_byte_order_mark_does_not_matter() -> None:
    assert check(b"\xef\xbb\xbfNAME a\nENTRYPOINT x").diagnostics == ()


@pytest.mark.parametrize("start", ["", "NAME ", "USER passwd:", 'ENV A="', "[", "\\"])
def test_a_line_of_a_mebibyte_has_short_messages(start: str) -> None:
    text = start + "x" * ((1 << 20) - len(start))
    for found in check(text).diagnostics:
        assert len(found.message) < 300


def test_clear_passwords_are_concealed_wherever_they_stand() -> None:
    text = (
        "NAME a\n# passwd:not-this-one\nRUN echo passwd:nor-this\n"
        "USER username:b \\\n  # the next is secret\n  passwd:'hunter 2' sudo:on\n"
        'USER username=c passwd="hun\\\nter2"\nENTRYPOINT x\n'
    )
    hidden = conceal(text)
    assert "hunter" not in hidden
    assert "hun" not in hidden
    assert "not-this-one" in hidden
    assert "nor-this" in hidden
    assert conceal(hidden) == hidden
    before, after = check(text).formfile, check(hidden).formfile
    assert before is not None
    assert after is not None
    assert as_document(before) == as_document(after)
    assert [u.passwd_hash for u in after.users] == [
        u.passwd_hash
        for u in check(hidden).formfile.users  # type: ignore[union-attr]
    ]


def sane(found: tuple[Diagnostic, ...], text: str) -> None:
    """Places lie in the text, and each finding says what would be right."""
    physical = text.split("\n")
    for item in found:
        assert 1 <= item.line <= len(physical)
        assert 1 <= item.column <= len(physical[item.line - 1]) + 1
        assert item.message
        assert item.hint
        assert item.rule


@given(st.text() | st.binary())
def test_any_input_gives_diagnostics_not_a_traceback(content: str | bytes) -> None:
    checked = check(content)
    assert json.loads(diagnostics_json(checked.diagnostics)) or checked.formfile


LETTERS = st.sampled_from("aZ09 \t\\\"'=:/@,#-[]{}.$é\u00a0")
LINE = st.builds(
    "{}{}{}".format,
    st.sampled_from([*DIRECTIVES, *ALIASES, "", "#", "NOPE", "name"]),
    st.sampled_from([" ", "\t", "  ", "", ":"]),
    st.text(LETTERS, max_size=40)
    | st.sampled_from(
        [
            *("username:a passwd:b", "username=a sudo=on", '["a", "b"]', "[1", "1"),
            *("--scope=user:a A=b", "a.example/b=9@public", "./a /b", "/a /a/b"),
            *("call 1", "required:a", "8000/udp", "'", '"', "\\", "x \\", "512M"),
        ]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=12), st.sampled_from(["\n", "\r\n", " \\\n"]))
def test_lines_of_all_shapes_give_places_in_the_text(
    written: list[str], end: str
) -> None:
    text = end.join(written)
    checked = check(text)
    sane(checked.diagnostics, text)
    if checked.formfile is None:
        assert checked.errors
    else:
        document = json.loads(json.dumps(as_document(checked.formfile)))
        assert as_document(from_document(document)) == as_document(checked.formfile)
        assert len(build_id(checked.formfile, "debian:13", None)) == 64
        assert check(conceal(text)).errors == ()


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=6), st.binary(max_size=8), st.integers(0, 300))
def test_damaged_bytes_are_never_a_traceback(
    written: list[str], damage: bytes, at: int
) -> None:
    raw = "\n".join(written).encode()
    checked = check(raw[:at] + damage + raw[at:])
    assert checked.formfile or checked.errors
