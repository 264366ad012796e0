"""FORMFILE's sentences, one by one: what a directive takes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.pack import Checked, Diagnostic, Formfile, check
from appliance.pack.formfile import Copy, Gpu, Install, Model, Port, Price, Run

END = '\nENTRYPOINT ["/bin/true"]\n'


def read(text: str) -> Formfile:
    checked = check(f"NAME a\n{text}{END}")
    assert checked.formfile is not None, checked.diagnostics
    return checked.formfile


def findings(text: str, level: str = "error") -> list[Diagnostic]:
    found = check(f"NAME a\n{text}{END}").diagnostics
    return [item for item in found if item.level == level]


def error(text: str) -> Diagnostic:
    (found,) = findings(text)
    return found


def warning(text: str) -> Diagnostic:
    assert findings(text) == []
    (found,) = findings(text, "warning")
    return found


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("VERSION 2.0.0-rc.1+b7", "version", "2.0.0-rc.1+b7"),
        ('DESCRIPTION  It says "hi" # always', "description", 'It says "hi" # always'),
        ("DESCRIPTION", "description", ""),
        ("MODEL required:org/m:7b", "model", Model("org/m:7b", True)),
        ("MODEL preferred:gpt-4", "model", Model("gpt-4", False)),
        ("TAGS text summary", "tags", ("text", "summary")),
        ("CATEGORY coder", "category", "coder"),
        ("PRICE call 2", "prices", (Price("call", 2.0),)),
        ("PRICE 1k-in 0.25", "prices", (Price("1k-in", 0.25),)),
        ("LICENSE mit", "license", "MIT"),
        ("LICENSE Apache-2.0 OR MIT", "license", "Apache-2.0 OR MIT"),
        ("FROM debian:12", "base", "debian:12"),
        ("VCPU 128", "vcpu", 128),
        ("CPU 2", "vcpu", 2),
        ("CORES 3", "vcpu", 3),
        ("MEM 512", "memory_mib", 512),
        ("MEM 600M", "memory_mib", 600),
        ("MEMORY 2g", "memory_mib", 2048),
        ("MBS 250G", "memory_mib", 256000),
        ("DISK 5", "disk_gib", 5),
        ("DISK 10G", "disk_gib", 10),
        ("STORAGE 2T", "disk_gib", 2048),
        ("GPU RTX:8 H100", "gpus", (Gpu("RTX", 8), Gpu("H100", 1))),
        ("WORKDIR //srv/app/", "workdir", "/srv/app"),
        ("INSTALL g++ libc6:amd64", "steps", (Install(("g++", "libc6:amd64")),)),
        ("COPY ./a.py /app/", "steps", (Copy("./a.py", "/app/"),)),
        ("COPY 'my file' /app", "steps", (Copy("my file", "/app"),)),
        ("RUN echo 'a  b' # c", "steps", (Run("echo 'a  b' # c"),)),
        ("VOLUME /data /srv/db", "volumes", ("/data", "/srv/db")),
        ("SECRET API_KEY OTHER", "secrets", ("API_KEY", "OTHER")),
        ("RUNAS nobody", "runas", "nobody"),
        ("EXPOSE 80 53/udp 9/TCP", "expose", (Port(80), Port(53, "udp"), Port(9))),
        ("HEALTHCHECK /up?full=1", "healthcheck", "/up?full=1"),
    ],
)
def test_what_a_directive_takes(line: str, name: str, value: Any) -> None:
    assert getattr(read(line), name) == value


def test_what_is_left_out_has_its_default() -> None:
    formfile = read("")
    wanted = {
        **{"version": None, "license": None, "base": "debian:13", "vcpu": 1},
        **{"memory_mib": 512, "disk_gib": 5, "workdir": "/", "runas": "root"},
        **{"expose": (Port(8000),), "healthcheck": "/health", "prices": ()},
    }
    assert {name: getattr(formfile, name) for name in wanted} == wanted
    assert formfile.agent_port == 8000


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("VERSION 1.2", 9, "a semantic version"),
        ("VERSION 1.0.0-01", 9, "a semantic version"),
        ("MODEL gpt", 7, "required:ID"),
        ("CATEGORY Coder", 10, "one of chatbot"),
        ("PRICE week 2", 7, "one of call"),
        ("PRICE call -2", 12, "number of credits"),
        ("LICENSE free", 9, "not an SPDX"),
        ("DOMAINS a.example localhost", 19, "not a host's name"),
        ("DOMAINS a.example=0", 9, "at least 1"),
        ("DOMAINS a.example@friends", 9, "one of public"),
        ("DOMAINS 10.0.0.1", 9, "is an address"),
        ("FROM alpine:3", 6, "one of debian:13"),
        ("VCPU 0", 6, "at least 1"),
        ("VCPU 129", 6, "at most 128"),
        ("VCPU 2.5", 6, "whole number"),
        ("VCPU ٣", 6, "whole number"),
        ("MEM 2T", 5, "whole number"),
        ("MEM 511", 5, "at least 512 (MiB)"),
        ("MEM 251G", 5, "at most 256000"),
        ("DISK 4G", 6, "at least 5 (GiB)"),
        ("DISK 64T", 6, "at most 65535"),
        ("GPU :2", 5, "MODEL or MODEL:COUNT"),
        ("GPU RTX:9", 5, "at most 8"),
        ("GPU RTX:", 5, "whole number"),
        ("WORKDIR app", 9, "absolute path"),
        ("WORKDIR /a/../b", 9, "without . or .."),
        ("INSTALL curl Bad_Name", 14, "not the name of a Debian package"),
        ("INSTALL apt-", 9, "not the name of a Debian package"),
        ("COPY /etc/passwd /x", 6, "leads out"),
        ("COPY a/../../b /x", 6, "leads out"),
        ("COPY a b", 8, "absolute path"),
        ("COPY a", 6, "two arguments"),
        ("RUN", 1, "needs a shell command"),
        ("VOLUME /", 8, "image's own disk"),
        ("VOLUME /etc", 8, "the system's own"),
        ("VOLUME /proc/x", 8, "the system's own"),
        ("VOLUME /usr/", 8, "the system's own"),
        ("VOLUME /a=b", 8, "letters, digits"),
        ("VOLUME /data /data/x", 14, "inside the volume /data"),
        ("SECRET 1KEY", 8, "letters, digits and _"),
        ("RUNAS Root", 7, "a-z, 0-9"),
        ("EXPOSE 80 65536", 11, "at most 65535"),
        ("EXPOSE 80/", 8, "tcp or udp"),
        ("EXPOSE 53/udp", 8, "no TCP port"),
        ("HEALTHCHECK health", 13, "begins with /"),
        ("ENV KEY value", 5, "needs one KEY=value"),
        ("ENV 1A=b", 5, "letters, digits and _"),
        ("ENV --scope=all A=b", 5, "system, user:NAME or service:NAME"),
        ("ENV --scop=user:a A=b", 5, "no such option"),
        ('ENV A="b', 7, "not closed"),
        ("USER sudo:true", 6, "username:NAME is needed"),
        ("USER username:Bob", 6, "a-z, 0-9"),
        ("USER username:bob sudo:maybe", 19, "true or false"),
        ("USER username:bob shell:bash", 19, "absolute path"),
        ("USER username:bob groups:a,B!", 19, "a-z, 0-9"),
        ("USER username:bob colour:red", 19, "colour: no such field"),
        ("USER username:bob ssh_authorized_keys:x", 19, "not an SSH public key"),
        ("USER username:bob passwd:", 19, "passwd is empty"),
        ("USER username:bob sudo:on sudo:off", 27, "sudo is there twice"),
        ("NAMEX b", 1, "NAMEX is not a directive"),
        ("name b", 1, "name is not a directive"),
    ],
)
def test_what_a_directive_refuses(line: str, column: int, message: str) -> None:
    found = error(line)
    assert (found.line, found.column) == (2, column)
    assert message in found.message
    assert found.hint
    assert found.rule


@pytest.mark.parametrize(
    ("entrypoint", "argv"),
    [
        ('["python3", "a b"]', ("python3", "a b")),
        ('["sh", "-c", ""]', ("sh", "-c", "")),
        ("python3 agent.py --x 'y z'", ("/bin/sh", "-c", "python3 agent.py --x 'y z'")),
    ],
)
def test_an_entrypoint_is_an_array_or_a_shell_line(
    entrypoint: str, argv: tuple[str, ...]
) -> None:
    formfile = check(f"NAME a\nENTRYPOINT {entrypoint}").formfile
    assert formfile is not None
    assert formfile.entrypoint == argv


@pytest.mark.parametrize(
    "entrypoint",
    ["", "[", "[]", "[1]", '[""]', "['a']", '["a\\u0000b"]', '["\\ud800"]', "[" * 9999],
)
def test_an_entrypoint_that_cannot_run_is_refused(entrypoint: str) -> None:
    (found,) = check(f"NAME a\nENTRYPOINT {entrypoint}").diagnostics
    assert (found.line, found.level, found.directive) == (2, "error", "ENTRYPOINT")
    assert '["python3", "/app/agent.py"]' in found.hint


@pytest.mark.parametrize("name", ["NAME b", "VERSION 1.0.0", "WORKDIR /", "VCPU 1"])
def test_what_may_stand_once_is_refused_twice(name: str) -> None:
    first = "" if name == "NAME b" else name
    found = error(f"{first}\n{name}")
    assert found.line == 3
    assert found.rule == "once"
    assert f"in line {1 if not first else 2}" in found.message


def test_an_alias_is_the_same_directive() -> None:
    assert error("VCPU 1\nCORES 2").rule == "once"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My_Agent", "my-agent"),
        ("--A..b--", "a-b"),
        ("'my agent'", "my-agent"),
        ("x" * 62 + "--y", "x" * 62),
        ("Straße", "stra-e"),
    ],
)
def test_a_name_becomes_a_dns_label_with_a_warning(text: str, name: str) -> None:
    checked = check(f"NAME {text}\nENTRYPOINT x")
    assert checked.formfile is not None
    assert checked.formfile.name == name
    (found,) = checked.diagnostics
    assert (found.level, found.line, found.column) == ("warning", 1, 6)


def test_a_name_of_which_nothing_is_left_is_an_error() -> None:
    (found,) = check("NAME ___\nENTRYPOINT x").diagnostics
    assert "no letter or digit" in found.message


def test_name_and_entrypoint_are_required() -> None:
    found = check("").diagnostics
    assert [(d.directive, d.rule) for d in found] == [
        ("NAME", "required"),
        ("ENTRYPOINT", "required"),
    ]


def test_all_errors_are_reported_together_in_the_files_order() -> None:
    text = "MEM 1\nEXPOSE 0 80 99999\nNOPE\nDISK x\n"
    places = [(d.line, d.column) for d in findings(text)]
    assert places == [(2, 5), (3, 8), (3, 13), (4, 1), (5, 6)]


def test_an_error_in_a_continued_line_stands_where_it_is() -> None:
    found = error("INSTALL python3 \\\n  # why\n  Wrong_One \\\n  curl")
    assert (found.line, found.column) == (4, 3)


@pytest.mark.parametrize(
    ("typed", "near"),
    [("EXPOSED", "EXPOSE"), ("name", "NAME"), ("ENTRY_POINT", "ENTRYPOINT")],
)
def test_an_unknown_directive_suggests_the_nearest(typed: str, near: str) -> None:
    assert error(f"{typed} x").hint == f"Did you mean {near}?"


def test_an_unusual_blank_is_named() -> None:
    assert "unusual blank" in error("VCPU\u00a02").hint


def test_tags_are_lower_case_and_at_most_16() -> None:
    assert read("TAGS Text").tags == ("text",)
    assert warning("TAGS Text").hint == "Write text."
    words = " ".join(f"t{n}" for n in range(16))
    assert len(read(f"TAGS {words}").tags) == 16
    assert "at most 16" in error(f"TAGS {words}\nTAGS t16 t17").message


@pytest.mark.parametrize(
    ("word", "host", "path", "port", "audience"),
    [
        ("sum.example.org", "sum.example.org", "/", 8000, "public"),
        ("Sum.Example.ORG/Path", "sum.example.org", "/Path", 8000, "public"),
        ("bücher.example", "xn--bcher-kva.example", "/", 8000, "public"),
        ("a.example/x=9000@accounts", "a.example", "/x", 9000, "accounts"),
        ("a.example.@federation", "a.example", "/", 8000, "federation"),
    ],
)
def test_domains_lead_to_a_port(
    word: str, host: str, path: str, port: int, audience: str
) -> None:
    (domain,) = read(f"DOMAINS {word}").domains
    assert (domain.host, domain.path) == (host, path)
    assert (domain.port, domain.audience) == (port, audience)


def test_a_domain_leads_to_the_first_exposed_tcp_port_by_default() -> None:
    formfile = read("DOMAINS a.example\nEXPOSE 53/udp 81 80")
    assert formfile.domains[0].port == formfile.agent_port == 81


def test_a_domain_leads_to_one_place() -> None:
    assert error("DOMAINS a.example\nDOMAINS a.example=9").rule == "twice"
    assert len(read("DOMAINS a.example/x a.example/y").domains) == 2


def test_a_price_stands_once_for_what_is_paid() -> None:
    assert error("PRICE call 1\nPRICE call 2").rule == "twice"
    assert len(read("PRICE call 1\nPRICE minute 2").prices) == 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("EXPOSE 80 80", "is there twice"),
        ("EXPOSE 53/udp 80", "tasks are answered at 80"),
        ("VOLUME /a\nVOLUME /a/", "is there twice"),
        ("SECRET A A", "is there twice"),
        ("TAGS a a", "is there twice"),
        ("ENV A=1\nENV A=2", "the last one counts"),
        ("ENV PATH=/opt/bin:$PATH", "$PATH is not replaced"),
        ("ENV A=1\nSECRET A", "the secret's value wins"),
        ("ENV --scope=user:bob A=1", "no USER line makes bob"),
        ("COPY a /tmp/a", "is in memory"),
        ("VOLUME /data\nCOPY a /data/a", "hides /data/a"),
        ("USER username:bob ssh_pwauth:true", "no effect without a passwd"),
        ("USER username:bob chpasswd_expire:1", "no effect without passwd"),
        ("RUN true \\\n\n && false", "after this blank line"),
    ],
)
def test_what_is_odd_is_a_warning(text: str, part: str) -> None:
    found = warning(text)
    assert part in found.message
    assert found.hint


def test_at_most_as_many_volumes_as_there_are_disks() -> None:
    folders = " ".join(f"/v{n}" for n in range(24))
    assert len(read(f"VOLUME {folders}").volumes) == 24
    assert "at most 24" in error(f"VOLUME {folders} /v24").message


def test_a_user_has_one_line() -> None:
    found = error("USER username:bob\nUSER username:bob sudo:on")
    assert (found.line, found.column, found.rule) == (3, 6, "twice")


@pytest.mark.parametrize("mark", [":", "="])
def test_every_field_of_a_user(mark: str) -> None:
    fields = {
        **{"username": "bob", "passwd": "'two words'", "sudo": "YES"},
        **{"lock_passwd": "1", "ssh_pwauth": "off", "disable_root": "on"},
        **{"chpasswd_expire": "no", "shell": "/bin/zsh", "groups": "'video, audio'"},
        "ssh_authorized_keys": '"ssh-ed25519 AAAA me@host,ssh-rsa BBBB"',
    }
    line = "USER " + " ".join(f"{key}{mark}{text}" for key, text in fields.items())
    (user,) = read(line).users
    assert user.passwd_hash is not None
    assert user.passwd_hash.startswith(("$y$", "$6$"))
    assert replace(user, passwd_hash=None) == replace(
        user,
        passwd_hash=None,
        **{"username": "bob", "sudo": True, "lock_passwd": True},
        **{"ssh_pwauth": False, "disable_root": True, "chpasswd_expire": False},
        **{"shell": "/bin/zsh", "groups": ("video", "audio")},
        ssh_authorized_keys=("ssh-ed25519 AAAA me@host", "ssh-rsa BBBB"),
    )


@pytest.mark.parametrize(
    "line",
    [
        "USER username:bob passwd hunter2",
        "USER bob hunter2 username:bob",
        "USER username:bob passwrd:hunter2",
        "USER username:bob passwd:hunter2 passwd:hunter2",
    ],
)
def test_no_error_repeats_what_may_be_a_password(line: str) -> None:
    found = findings(line)
    assert found
    assert all("hunter2" not in d.message + d.hint for d in found)


def test_a_copy_finds_its_source_inside_the_context(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "Formfile").touch()
    (tmp_path / "Formfile2").symlink_to("Formfile")
    (tmp_path / "deep").mkdir()

    def messages(text: str) -> list[str]:
        checked: Checked = check(f"NAME a\n{text}{END}", tmp_path)
        return [d.message for d in checked.diagnostics]

    assert "no such file" in messages("COPY missing /x")[0]
    assert "link leads out" in messages("COPY link /x")[0]
    assert "link leads out" in messages("COPY link/passwd /x")[0]
    assert "no such file" in messages("COPY loop /x")[0]
    assert "may hold passwords" in messages("COPY ./Formfile /x")[0]
    assert "may hold passwords" in messages("COPY Formfile2 /x")[0]
    assert messages("COPY . /x\nCOPY deep /y/") == []


def test_the_example_of_the_language_is_fine() -> None:
    text = """
    NAME summarizer
    DESCRIPTION Summarises documents on request
    MODEL preferred:gpt-4
    VCPU 2
    USER username:webdev sudo:true ssh_authorized_keys:"ssh-ed25519 AAAA… me@host"
    ENV --scope=service:agent PORT=8000
    COPY ./agent.py /app/agent.py
    ENTRYPOINT ["python3", "/app/agent.py"]
    """
    assert check(text).diagnostics == ()
