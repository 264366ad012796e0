"""Values of Formfile arguments: each function takes text and returns the value,
or raises Wrong with the sentence, and the cure, that a person needs."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Any, get_args

import idna
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from semver import Version

from appliance.pack.formfile import EnvVar, Gpu, Port, Price, VanityDomain

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
AUDIENCES = ("public", "federation", "accounts")
LONGEST_PATH = 200
SHOWN = 60
USERNAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_DOMAIN = re.compile(
    r"(?P<host>[^/=@]+)(?P<path>/[^=@\s]*)?(?:=(?P<port>[^@]*))?(?:@(?P<audience>.*))?"
)


class Wrong(ValueError):
    """A value that breaks a rule; `hint` says what would be right."""

    def __init__(self, message: str, hint: str = "", rule: str = "value") -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule


def shown(text: str) -> str:
    """The text as a sentence may quote it: bounded, nothing unprintable."""
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in short) or '""'


def label(text: str) -> str:
    """A DNS label made of any text; empty when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def number(text: str, low: int, high: int, unit: str = "", **suffixes: int) -> int:
    """An integer with an optional suffix, within its bounds."""
    match = re.fullmatch(r"([0-9]{1,12})([A-Za-z]?)", text)
    factor = suffixes.get(match[2].upper()) if match and match[2] else 1
    hint = f"{low} to {high}{unit}"
    if suffixes:
        hint += f"; it may end in {' or '.join(k for k in suffixes)}"
    if not match or factor is None:
        raise Wrong(f"{shown(text)}: a whole number is needed", f"{hint}.", "number")
    value = int(match[1]) * factor
    if value < low:
        raise Wrong(f"{shown(text)}: at least {low}{unit}", f"{hint}.", "range")
    if value > high:
        raise Wrong(f"{shown(text)}: at most {high}{unit}", f"{hint}.", "range")
    return value


def version(text: str) -> str:
    if len(text) > 64 or not Version.is_valid(text):
        raise Wrong(
            f"{shown(text)}: a semantic version is needed",
            "Three numbers, such as 1.4.0, or with a pre-release: 2.0.0-rc.1.",
        )
    return text


def license_id(text: str) -> str:
    """An SPDX id, or an expression of several, in SPDX's own writing."""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        raise Wrong(
            f"{shown(text)} is not an SPDX licence id",
            "Take one of spdx.org/licenses, such as MIT, Apache-2.0 or "
            "GPL-3.0-or-later; LicenseRef-NAME for one of your own.",
            "known",
        ) from None


def absolute(text: str) -> str:
    """An absolute path in its shortest writing."""
    parts = text.split("/")
    if not text.startswith("/") or {".", ".."} & set(parts):
        right = "/" + "/".join(p for p in parts if p not in ("", ".", ".."))
        raise Wrong(
            f"{shown(text)}: an absolute path without . or .. is needed",
            f"Perhaps {shown(right)}.",
            "path",
        )
    if not text.isprintable() or len(text) > LONGEST_PATH:
        raise Wrong(
            f"{shown(text)}: not a path",
            f"At most {LONGEST_PATH} characters, all of them printable.",
            "path",
        )
    return "/" + "/".join(part for part in parts if part)


# what the guest's init, its package system and its kernel have for themselves
_WHOLE = frozenset(
    {
        *("bin", "boot", "etc", "home", "lib", "lib64", "root", "sbin", "usr", "var"),
        *("usr/bin", "usr/lib", "usr/sbin", "usr/share", "usr/local", "var/lib"),
    }
)
_BELOW = (
    *("bin", "boot", "dev", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp"),
    *("etc/formation", "usr/lib/formation", "var/lib/dpkg", "var/run"),
)


def volume(text: str) -> str:
    """A folder that may be a disk of its own."""
    path = absolute(text)
    bare = path.strip("/")
    if not bare:
        raise Wrong(
            "/: the root is the image's own disk",
            "Name the folder that is kept, such as /data.",
            "path",
        )
    if bare in _WHOLE or any(bare == p or bare.startswith(p + "/") for p in _BELOW):
        raise Wrong(
            f"{shown(path)} is the system's own and cannot be a volume",
            "Take a folder of the agent's, such as /data or /var/lib/NAME.",
            "path",
        )
    if not re.fullmatch(r"[A-Za-z0-9/._-]+", path):
        raise Wrong(
            f"{shown(path)}: letters, digits and . _ - only",
            "Such as /data or /srv/my-agent.",
            "path",
        )
    return path


def port(text: str) -> Port:
    digits, _, protocol = text.partition("/")
    if protocol.lower() not in ("", "tcp", "udp") or text.endswith("/"):
        raise Wrong(
            f"{shown(text)}: after the slash, tcp or udp",
            f"{shown(digits)} for TCP, {shown(digits)}/udp for UDP.",
        )
    value = number(digits, 1, 65535)
    return Port(value, "udp" if protocol.lower() == "udp" else "tcp")


def gpu(text: str) -> Gpu:
    model, colon, count = text.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", model):
        raise Wrong(
            f"{shown(text)}: MODEL or MODEL:COUNT is needed",
            "The beginning of the model's name, such as RTX or RTX4090:2.",
        )
    return Gpu(model, number(count, 1, 8) if colon else 1)


def credit(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
        raise Wrong(
            f"{shown(text)}: a number of credits is needed",
            "Such as 2 or 0.25, with at most six places after the point.",
            "number",
        )
    return float(text)


def price(per: str, credits_: float) -> Price:
    for known in get_args(Price.__annotations__["per"]) or PER:
        if per == known:
            return Price(known, credits_)
    raise one_of(per, PER)


def one_of(text: str, known: tuple[str, ...]) -> Wrong:
    """The error of a word that is none of the known ones."""
    near = get_close_matches(text[:SHOWN].lower(), known, 1) or known[:1]
    hint = f"Perhaps {near[0]}."
    return Wrong(f"{shown(text)}: one of {', '.join(known)}", hint, "known")


def domain(text: str) -> VanityDomain:
    match = _DOMAIN.fullmatch(text)
    if not match:
        raise Wrong(
            f"{shown(text)}: HOST[/PATH][=PORT][@AUDIENCE] is needed",
            "Such as sum.example.org or example.org/sum=8000@accounts.",
        )
    path, audience = match["path"] or "/", match["audience"]
    if not re.fullmatch(r"/[!-~]*", path):
        hint = "Percent-encode other characters, as in an address."
        raise Wrong(f"{shown(path)}: only ASCII in a path", hint, "path")
    at = number(match["port"], 1, 65535) if match["port"] is not None else None
    for known in AUDIENCES:
        if known == ("public" if audience is None else audience):
            return VanityDomain(host(match["host"]), path, at, known)  # type: ignore[arg-type]
    raise one_of(audience or "", AUDIENCES)


def host(text: str) -> str:
    """A host's name as DNS has it: lower case, IDNA (RFC 5891, UTS 46)."""
    try:
        name = idna.encode(text.removesuffix("."), uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        name = ""
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise Wrong(
            f"{shown(text)} is not a host's name",
            "Labels of letters, digits and - with dots between: sum.example.org.",
        )
    if re.fullmatch(r"[0-9]+", name.rsplit(".", 1)[-1]):
        raise Wrong(f"{shown(text)} is an address", "A name is needed.")
    return name


def scope(text: str) -> str:
    kind, colon, name = text.partition(":")
    if text == "system":
        return text
    right = {
        "user": USERNAME,
        "service": re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}"),
    }.get(kind)
    if not right or not right.fullmatch(name):
        raise Wrong(
            f"{shown(text)}: system, user:NAME or service:NAME is needed",
            "--scope=service:agent reaches the entrypoint alone.",
        )
    return f"{kind}:{name.removesuffix('.service') if kind == 'service' else name}"


def assignment(text: str, scope_: str) -> EnvVar:
    key, equals, value = text.partition("=")
    if not equals:
        raise Wrong(f"{shown(text)}: KEY=value is needed", "Such as ENV PORT=8000.")
    return EnvVar(variable(key), value, scope_)


def variable(text: str) -> str:
    if not VARIABLE.fullmatch(text):
        raise Wrong(
            f"{shown(text)}: letters, digits and _ only, no digit first",
            "Such as API_KEY.",
        )
    return text


def http_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise Wrong(
            f"{shown(text)}: a path that begins with / is needed",
            "Such as /health; ASCII without blanks.",
            "path",
        )
    return text


def entrypoint(rest: str) -> tuple[str, ...]:
    if not rest.startswith("["):
        return ("/bin/sh", "-c", rest)
    hint = 'Such as ["python3", "/app/agent.py"], with double quotes.'
    try:
        argv: Any = json.loads(rest)
    except (ValueError, RecursionError) as error:
        at = f" at character {error.pos + 1}" if hasattr(error, "pos") else ""
        raise Wrong(f"not JSON{at}", hint, "json") from None
    if not argv or not all(isinstance(word, str) for word in argv) or not argv[0]:
        raise Wrong("the array must hold one or more words", hint, "json")
    if any("\0" in word or not _is_text(word) for word in argv):
        raise Wrong("a word holds what no argument can", hint, "json")
    return tuple(argv)


def _is_text(word: str) -> bool:
    try:
        return bool(word.encode()) or True
    except UnicodeEncodeError:
        return False


def username(text: str) -> str:
    if not USERNAME.fullmatch(text):
        raise Wrong(
            f"{shown(text)}: a-z, 0-9, _ and - only, at most 32",
            "A letter or _ first, such as webdev.",
        )
    return text


def package(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?", text):
        raise Wrong(
            f"{shown(text)} is not the name of a Debian package",
            "Lower-case names as packages.debian.org has them, blanks between.",
        )
    return text


def context_path(text: str) -> str:
    """A source inside the context, as far as its text says."""
    parts = text.split("/")
    if text.startswith("/") or ".." in parts:
        raise Wrong(
            f"{shown(text)}: leads out of the context folder",
            "COPY reads only what lies beside the Formfile: COPY ./agent.py …",
            "inside",
        )
    if not text or "\0" in text:
        raise Wrong("nothing is named", "COPY . /app copies the folder.", "inside")
    return text
