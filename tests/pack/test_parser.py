"""The Formfile's language: every mistake at its place, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.pack import as_document, build_id, check, diagnostics_json, from_document

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


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("NAMEX a", "not a directive"),
        ("MEM 128", "at least 512"),
        ("DISK 1", "at least 5"),
        ("VCPU many", "whole number"),
        ("FROM alpine", "debian:13"),
        ("WORKDIR app", "absolute path"),
        ("EXPOSE 70000", "at most 65535"),
        ("COPY ../x /x", "leads out"),
        ("INSTALL Bad_Name", "not the name"),
        ("USER sudo:true", "username"),
        ("USER username:a colour:red", "colour"),
        ('ENV A="b', "not closed"),
        ("CATEGORY dog", "chatbot"),
        ("MODEL gpt", "required:ID"),
        ("PRICE call much", "number of credits"),
        ("HEALTHCHECK health", "begins with /"),
    ],
)
def test_a_mistake_is_named_at_its_line(line: str, part: str) -> None:
    checked = check(f"NAME a\n{line}\nENTRYPOINT run\n")
    assert checked.formfile is None
    (found,) = checked.diagnostics
    assert found.line == 2
    assert part in found.message


def test_all_mistakes_are_reported_together() -> None:
    checked = check("MEM 1\nDISK x\n")
    assert [d.rule for d in checked.diagnostics].count("value") == 2
    assert {d.directive for d in checked.diagnostics} >= {"NAME", "ENTRYPOINT"}


def test_unknown_directive_suggests_the_nearest() -> None:
    (found,) = check("NAME a\nEXPOSED 1\nENTRYPOINT x").diagnostics
    assert "EXPOSE" in found.hint


def test_a_name_becomes_a_dns_label_with_a_warning() -> None:
    checked = check("NAME My_Agent\nENTRYPOINT x")
    assert checked.formfile is not None
    assert checked.formfile.name == "my-agent"
    assert checked.diagnostics[0].level == "warning"


def test_copy_needs_its_source_inside_the_context(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    text = "NAME a\nCOPY missing /x\nCOPY link /y\nENTRYPOINT x"
    messages = [d.message for d in check(text, tmp_path).diagnostics]
    assert "no such file" in messages[0]
    assert "link leads out" in messages[1]


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


@given(st.text() | st.binary())
def test_any_input_gives_diagnostics_not_a_traceback(text: str | bytes) -> None:
    checked = check(text)
    assert json.loads(diagnostics_json(checked.diagnostics)) or checked.formfile


WORDS = st.sampled_from(
    [
        "NAME",
        "MEM",
        "USER",
        "ENV",
        "COPY",
        "ENTRYPOINT",
        "[",
        "]",
        '"',
        "'",
        "\\",
        "\n",
        "=",
        ":",
        "/",
        "@",
        ",",
        "username",
        "1",
        "a",
        "#",
        "-",
    ]
)


@given(st.lists(WORDS, max_size=40))
def test_places_are_within_the_text(words: list[str]) -> None:
    text = " ".join(words)
    for found in check(text).diagnostics:
        assert 1 <= found.line <= text.count("\n") + 1
        assert 1 <= found.column <= len(text) + 2
