"""Directives about the virtual machine: FROM, sizes, GPU, USER, VOLUME, EXPOSE."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from appliance.pack.diagnostics import Wrong, nearest
from appliance.pack.formfile import Gpu, GuestUser, Port
from appliance.pack.lexer import Word
from appliance.pack.passwd import problem_of
from appliance.pack.registry import Call, directive
from appliance.pack.values import (
    USERNAME,
    absolute,
    boolean,
    choice,
    commas,
    number,
    username,
    wrong,
)

BASES = ("debian:13", "debian:12")
USERS_AT_MOST = 32
_FIELDS = ("passwd", *(f.name for f in fields(GuestUser) if f.name != "passwd_hash"))
_KEY_TYPES = ("ssh-", "ecdsa-", "sk-")
_NOT_KEPT = ("/", "/proc", "/sys", "/dev", "/run")


@directive("FROM", single=True)
def from_(call: Call) -> None:
    call.draft.single["base"] = choice(call.one("FROM debian:13"), BASES)


@directive("VCPU", "CPU", "CORES", single=True)
def vcpu(call: Call) -> None:
    call.draft.single["vcpu"] = number(call.one("VCPU 2"), 1, 128)


@directive("MEM", "MEMORY", "MBS", single=True)
def mem(call: Call) -> None:
    word = call.one("MEM 2048 or MEM 2G")
    suffixes = {"M": 1, "G": 1024}
    call.draft.single["memory_mib"] = number(word, 512, 256000, " (MiB)", suffixes)


@directive("DISK", "STORAGE", single=True)
def disk(call: Call) -> None:
    word = call.one("DISK 10")
    suffixes = {"G": 1, "T": 1024}
    call.draft.single["disk_gib"] = number(word, 5, 65535, " (GiB)", suffixes)


@directive("GPU")
def gpu(call: Call) -> None:
    word = call.one("GPU A100 or GPU A100:2, one model a line")
    model, colon, count = word.text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._+/-]{0,63}", model):
        raise wrong("gpu", word, "a model such as A100, then perhaps :COUNT")
    wanted = number(Word(count, word.start, word.end), 1, 8) if colon else 1
    call.draft.lists["gpus"].append(Gpu(model, wanted))


@directive("VOLUME")
def volume(call: Call) -> None:
    word = call.one("VOLUME /data, one path a line")
    path = absolute(word)
    if (path.rstrip("/") or "/") in _NOT_KEPT:
        raise wrong("volume", word, "this path cannot be kept; name a folder below it")
    if call.draft.is_new("volume", path.rstrip("/")):
        call.draft.lists["volumes"].append(path)


@directive("EXPOSE")
def expose(call: Call) -> None:
    call.each(call.some("EXPOSE 8000"), lambda word: _port(call, word))


def _port(call: Call, word: Word) -> None:
    digits, slash, protocol = word.text.lower().partition("/")
    if slash and protocol not in ("tcp", "udp"):
        raise wrong("protocol", word, "after the slash, tcp or udp")
    value = number(Word(digits, word.start, word.end), 1, 65535, " (port)")
    made = Port(value, "udp" if protocol == "udp" else "tcp")
    if not call.draft.is_new("port", made):
        return
    if made.protocol == "udp" and not call.draft.lists["expose"]:
        hint = "Name a TCP port first"
        message = f"{word.text}: the agent answers tasks at the first port, over TCP"
        call.note("agent-port", message, word, hint)
    call.draft.lists["expose"].append(made)


@directive("USER")
def user(call: Call) -> None:
    found: dict[str, Any] = {}
    before = len(call.draft.found)
    call.each(
        call.some("USER username:me sudo:true"), lambda word: _field(call, found, word)
    )
    if "username" not in found:
        if len(call.draft.found) == before:
            raise Wrong("required", "username is missing", None, "Add username:NAME")
        return
    name = found["username"]
    if not call.draft.is_new("user", name):
        raise Wrong("unique", f"{name}: this user stands here already")
    if len(call.draft.lists["users"]) == USERS_AT_MOST:
        raise Wrong("count", f"at most {USERS_AT_MOST} users")
    if "passwd" in found:
        call.draft.clear[name] = found.pop("passwd")
    call.draft.lists["users"].append(GuestUser(**found))


def _field(call: Call, found: dict[str, Any], word: Word) -> None:
    # what cannot be read may be a part of a password: messages never repeat it
    match = re.match(r"([A-Za-z_]{1,32})[:=]", word.text)
    if not match or match[1] not in _FIELDS:
        near = nearest(match[1].lower(), _FIELDS) if match else ""
        hint = f"Did you mean {near}?" if near else f"Fields are {', '.join(_FIELDS)}"
        raise Wrong("field", "a field:value is needed here", word, hint)
    if match[1] in found:
        raise Wrong("once", f"{match[1]}: only once in a USER", word)
    value = Word(word.text[match.end() :], word.start + match.end(), word.end)
    found[match[1]] = _value(call, match[1], value)


def _value(call: Call, field: str, value: Word) -> Any:
    if field == "passwd":
        problem = problem_of(value.text)
        if problem:
            raise Wrong("passwd", f"passwd: {problem}", value)
        return value.text
    if field == "username":
        return username(value)
    if field == "shell":
        return absolute(value)
    if field == "groups":
        return tuple(username(Word(g, value.start, 0)) for g in commas(value.text))
    if field == "ssh_authorized_keys":
        return _keys(call, value)
    return boolean(value, value.text)


def _keys(call: Call, value: Word) -> tuple[str, ...]:
    keys = commas(value.text)
    if not all(any(kind in key for kind in _KEY_TYPES) for key in keys):
        message = "ssh_authorized_keys: a part does not look like a public key"
        hint = "Keys are parted by commas, so a comment has none"
        call.note("ssh-key", message, value, hint)
    return keys


def is_login(draft_users: list[GuestUser], name: str) -> bool:
    """Whether the guest will have this user."""
    known = USERNAME.fullmatch(name) and any(u.username == name for u in draft_users)
    return name == "root" or bool(known)
