"""Values of Formfile arguments: each function takes text and returns the value,
or raises ValueError with the sentence that a person needs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import PurePosixPath
from typing import Any, get_args

from appliance.pack.formfile import EnvVar, Gpu, GuestUser, Port, Price, VanityDomain
from appliance.pack.passwd import hash_password

CATEGORIES = (
    "chatbot",
    "assistant",
    "analyst",
    "coder",
    "writer",
    "researcher",
    "automation",
    "tool",
    "other",
)
PER = ("call", "1k-in", "1k-out", "minute")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)
_DOMAIN = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})+)(?P<path>/[^=@\s]*)?"
    r"(?:=(?P<port>\d+))?(?:@(?P<audience>\w+))?"
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def label(text: str) -> str:
    """A DNS label made of any text; empty when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def number(text: str, low: int, high: int, unit: str, **suffixes: int) -> int:
    """An integer with an optional suffix, within its bounds."""
    match = re.fullmatch(r"(\d{1,12})([A-Za-z]?)", text)
    factor = suffixes.get(match[2].upper()) if match and match[2] else 1
    if not match or factor is None:
        may = f" (suffixes {', '.join(suffixes)})" if suffixes else ""
        raise ValueError(f"{text}: a whole number is needed{may}")
    value = int(match[1]) * factor
    if value < low:
        raise ValueError(f"{text}: at least {low}{unit}")
    if value > high:
        raise ValueError(f"{text}: at most {high}{unit}")
    return value


def version(text: str) -> str:
    if not _SEMVER.fullmatch(text):
        raise ValueError(f"{text}: a semantic version such as 1.4.0 is needed")
    return text


def absolute(text: str) -> str:
    if not text.startswith("/") or {".", ".."} & set(text.split("/")):
        raise ValueError(f"{text}: an absolute path without . or .. is needed")
    return text


def port(text: str) -> Port:
    digits, _, protocol = text.partition("/")
    if protocol not in ("", "tcp", "udp"):
        raise ValueError(f"{text}: after the slash, tcp or udp")
    value = number(digits, 1, 65535, "")
    return Port(value, "udp" if protocol == "udp" else "tcp")


def gpu(text: str) -> Gpu:
    model, _, count = text.partition(":")
    if not model:
        raise ValueError(f"{text}: MODEL or MODEL:COUNT is needed")
    return Gpu(model, number(count, 1, 8, "") if count else 1)


def price(per: str, amount: str) -> Price:
    if not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", amount):
        raise ValueError(f"{amount}: a number of credits is needed")
    for known in get_args(Price.__annotations__["per"]) or PER:
        if per == known:
            return Price(known, float(amount))
    raise ValueError(f"{per}: one of {', '.join(PER)} is needed")


def domain(text: str) -> VanityDomain:
    match = _DOMAIN.fullmatch(text.lower() if "/" not in text else text)
    if not match:
        raise ValueError(f"{text}: HOST[/PATH][=PORT][@AUDIENCE] is needed")
    audience = match["audience"] or "public"
    for known in ("public", "federation", "accounts"):
        if audience == known:
            at = number(match["port"], 1, 65535, "") if match["port"] else None
            return VanityDomain(match["host"], match["path"] or "/", at, known)
    raise ValueError(f"{audience}: public, federation or accounts is needed")


def env(words: list[str]) -> EnvVar:
    scope = "system"
    if words and words[0].startswith("--scope="):
        scope = words[0].removeprefix("--scope=")
        words = words[1:]
    if not re.fullmatch(r"system|(user|service):[A-Za-z0-9_.-]+", scope):
        raise ValueError(f"{scope}: system, user:NAME or service:NAME is needed")
    if len(words) != 1 or "=" not in words[0]:
        raise ValueError("KEY=value is needed; quote a value that holds blanks")
    key, _, value = words[0].partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
        raise ValueError(f"{key}: letters, digits and _ only, no digit first")
    return EnvVar(key, value, scope)


def entrypoint(rest: str) -> tuple[str, ...]:
    if not rest.startswith("["):
        if not rest:
            raise ValueError("a JSON array or a shell line is needed")
        return ("/bin/sh", "-c", rest)
    try:
        argv: Any = json.loads(rest)
    except (ValueError, RecursionError):
        raise ValueError(
            'not JSON; write ["python3", "/app/agent.py"], with double quotes'
        ) from None
    if not argv or not all(isinstance(word, str) and word for word in argv):
        raise ValueError("the array must hold one or more words")
    return tuple(argv)


def boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text}: true or false is needed")


def user(words: list[str]) -> GuestUser:
    """The fields of one USER directive."""
    fields: dict[str, Any] = {}
    for word in words:
        key, value = _field(word)
        fields["passwd_hash" if key == "passwd" else key] = _user_value(key, value)
    if "username" not in fields:
        raise ValueError("username:NAME is needed")
    return GuestUser(**fields)


def _field(word: str) -> tuple[str, str]:
    match = re.match(r"([a-z_]+)[:=]", word)
    known = {"passwd", *GuestUser.__annotations__} - {"passwd_hash"}
    if not match or match[1] not in known:
        name = match[1] if match else word.split(":")[0][:32]
        raise ValueError(f"{name}: one of {', '.join(sorted(known))} is needed")
    return match[1], word[match.end() :]


def _user_value(key: str, value: str) -> Any:
    if key == "username":
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", value):
            raise ValueError(f"username {value}: a-z, 0-9, _ and - only, at most 32")
        return value
    if key == "passwd":
        return hash_password(value)
    if key == "shell":
        return absolute(value)
    if key in ("groups", "ssh_authorized_keys"):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return boolean(value)


def context_path(text: str) -> str:
    """A source inside the context, as far as its text says."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{text}: leads out of the context folder")
    return text


def quoted(argv: tuple[str, ...]) -> str:
    return shlex.join(argv)
