"""From the text of a Formfile to a `Formfile`, or every mistake at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from appliance.pack import values
from appliance.pack.formfile import Copy, Diagnostic, Formfile, Install, Model, Run
from appliance.pack.identity import is_formfile
from appliance.pack.lexer import Line, OpenQuote, Word, lines, words

LONGEST = 1 << 20
ALIASES = {
    "CPU": "VCPU",
    "CORES": "VCPU",
    "MEMORY": "MEM",
    "MBS": "MEM",
    "STORAGE": "DISK",
}
ONCE = frozenset(
    {
        *("NAME", "VERSION", "DESCRIPTION", "MODEL", "CATEGORY", "LICENSE", "FROM"),
        *("VCPU", "MEM", "DISK", "WORKDIR", "RUNAS", "HEALTHCHECK", "ENTRYPOINT"),
    }
)


@dataclass(frozen=True)
class Checked:
    """`formfile` is None when any diagnostic is an error."""

    formfile: Formfile | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass
class _State:
    fields: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, name: str, *items: Any) -> None:
        self.fields[name] = (*self.fields.get(name, ()), *items)


Directive = Callable[[_State, Line, list[Word]], None]
_DIRECTIVES: dict[str, Directive] = {}
_REST = frozenset({"DESCRIPTION", "RUN", "ENTRYPOINT"})


def _directive(name: str) -> Callable[[Directive], Directive]:
    def add(function: Directive) -> Directive:
        _DIRECTIVES[name] = function
        return function

    return add


def _one(found: list[Word]) -> str:
    if len(found) != 1:
        raise ValueError(f"one argument is needed, {len(found)} are given")
    return found[0].text


def _some(found: list[Word]) -> list[str]:
    if not found:
        raise ValueError("at least one argument is needed")
    return [word.text for word in found]


@_directive("NAME")
def _name(state: _State, line: Line, found: list[Word]) -> None:
    text = _one(found)
    name = values.label(text)
    if not name:
        raise ValueError(f"{text}: no letter or digit is left of it")
    if name != text:
        state.warnings.append(f"the name becomes {name}")
    state.fields["name"] = name


@_directive("MODEL")
def _model(state: _State, line: Line, found: list[Word]) -> None:
    kind, _, id_ = _one(found).partition(":")
    if kind not in ("required", "preferred") or not id_:
        raise ValueError("required:ID or preferred:ID is needed")
    state.fields["model"] = Model(id_, kind == "required")


@_directive("TAGS")
def _tags(state: _State, line: Line, found: list[Word]) -> None:
    state.add("tags", *(word.lower() for word in _some(found)))
    if len(state.fields["tags"]) > 16:
        raise ValueError("at most 16 tags")


@_directive("CATEGORY")
def _category(state: _State, line: Line, found: list[Word]) -> None:
    text = _one(found)
    if text not in values.CATEGORIES:
        raise ValueError(f"{text}: one of {', '.join(values.CATEGORIES)}")
    state.fields["category"] = text


@_directive("PRICE")
def _price(state: _State, line: Line, found: list[Word]) -> None:
    if len(found) != 2:
        raise ValueError("what is paid for and a number: PRICE call 2")
    state.add("prices", values.price(found[0].text, found[1].text))


@_directive("FROM")
def _from(state: _State, line: Line, found: list[Word]) -> None:
    text = _one(found)
    if text not in ("debian:13", "debian:12"):
        raise ValueError(f"{text}: debian:13 or debian:12")
    state.fields["base"] = text


@_directive("COPY")
def _copy(state: _State, line: Line, found: list[Word]) -> None:
    if len(found) != 2:
        raise ValueError("what and where to: COPY ./agent.py /app/agent.py")
    target = found[1].text
    values.absolute(target.rstrip("/") or "/")
    source = values.context_path(found[0].text)
    state.add("steps", Copy(source, target, line.number))


@_directive("INSTALL")
def _install(state: _State, line: Line, found: list[Word]) -> None:
    for package in _some(found):
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.:-]*", package):
            raise ValueError(f"{package} is not the name of a Debian package")
    state.add("steps", Install(tuple(_some(found)), line.number))


@_directive("RUN")
def _run(state: _State, line: Line, found: list[Word]) -> None:
    if not line.rest:
        raise ValueError("a shell command is needed")
    state.add("steps", Run(line.rest, line.number))


@_directive("SECRET")
def _secret(state: _State, line: Line, found: list[Word]) -> None:
    for name in _some(found):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"{name}: letters, digits and _ only")
    state.add("secrets", *_some(found))


@_directive("RUNAS")
def _runas(state: _State, line: Line, found: list[Word]) -> None:
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", _one(found)):
        raise ValueError(f"{_one(found)}: a-z, 0-9, _ and - only, at most 32")
    state.fields["runas"] = _one(found)


@_directive("HEALTHCHECK")
def _healthcheck(state: _State, line: Line, found: list[Word]) -> None:
    if not re.fullmatch(r"/[!-~]*", _one(found)):
        raise ValueError(f"{_one(found)}: a path that begins with / is needed")
    state.fields["healthcheck"] = _one(found)


def _simple(name: str, key: str, convert: Callable[[str], Any]) -> None:
    def read(state: _State, line: Line, found: list[Word]) -> None:
        state.fields[key] = convert(_one(found))

    _DIRECTIVES[name] = read


def _many(name: str, key: str, convert: Callable[[str], Any]) -> None:
    def read(state: _State, line: Line, found: list[Word]) -> None:
        state.add(key, *(convert(text) for text in _some(found)))

    _DIRECTIVES[name] = read


_simple("VERSION", "version", values.version)
_simple("LICENSE", "license", str)
_simple("WORKDIR", "workdir", values.absolute)
_simple("VCPU", "vcpu", lambda t: values.number(t, 1, 128, ""))
_simple(
    "MEM", "memory_mib", lambda t: values.number(t, 512, 256000, " (MiB)", M=1, G=1024)
)
_simple("DISK", "disk_gib", lambda t: values.number(t, 5, 65535, " (GiB)", G=1, T=1024))
_many("EXPOSE", "expose", values.port)
_many("VOLUME", "volumes", values.absolute)
_many("DOMAINS", "domains", values.domain)
_many("GPU", "gpus", values.gpu)
_DIRECTIVES["DESCRIPTION"] = lambda s, li, w: s.fields.update(description=li.rest)
_DIRECTIVES["USER"] = lambda s, li, w: s.add("users", values.user(_some(w)))
_DIRECTIVES["ENV"] = lambda s, li, w: s.add("env", values.env(_some(w)))
_DIRECTIVES["ENTRYPOINT"] = lambda s, li, w: s.fields.update(
    entrypoint=values.entrypoint(li.rest)
)


def check(text: str | bytes, context: Path | None = None) -> Checked:
    """Parse; with a context, also that every COPY finds its source inside it."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            at = error.object[: error.start].count(b"\n") + 1
            return Checked(None, (_error(at, 1, "", "utf-8", "not UTF-8 text"),))
    if len(text) > LONGEST or "\0" in text:
        return Checked(None, (_error(1, 1, "", "text", "not a text below 1 MiB"),))
    state, seen = _State(), set[str]()
    found: list[Diagnostic] = []
    for line in lines(text):
        found += _read(state, line, seen, context)
    for name in ("NAME", "ENTRYPOINT"):
        if name not in seen:
            found.append(_error(1, 1, name, "required", f"{name} is missing"))
    found.sort(key=lambda item: (item.line, item.column))
    failed = any(item.level == "error" for item in found)
    return Checked(None if failed else Formfile(**state.fields), tuple(found))


def _read(
    state: _State, line: Line, seen: set[str], context: Path | None
) -> list[Diagnostic]:
    name = ALIASES.get(line.directive, line.directive)
    if name not in _DIRECTIVES:
        near = get_close_matches(line.directive.upper(), [*_DIRECTIVES, *ALIASES], 1)
        hint = f"Did you mean {near[0]}?" if near else "See the list of directives."
        message = f"{line.directive[:40]} is not a directive"
        return [
            _error(line.number, line.column, line.directive, "known", message, hint)
        ]
    if name in seen and name in ONCE:
        message = f"{name} may stand once"
        return [_error(line.number, line.column, name, "once", message)]
    seen.add(name)
    try:
        found = [] if name in _REST else words(line)
        _DIRECTIVES[name](state, line, found)
        if name == "COPY" and context is not None:
            _must_be_inside(context, found[0].text)
    except OpenQuote as error:
        return [_error(line.number, error.column, name, "quotes", str(error))]
    except ValueError as error:
        message = f"{name} {error}"
        return [_error(line.number, line.rest_column, name, "value", message)]
    warnings, state.warnings = state.warnings, []
    return [
        Diagnostic(line.number, line.rest_column, "warning", name, "changed", warning)
        for warning in warnings
    ]


def _must_be_inside(context: Path, source: str) -> None:
    root = context.resolve()
    try:
        path = (root / source).resolve(strict=True)
    except (OSError, RuntimeError):
        raise ValueError(f"{source}: there is no such file in the context") from None
    if not path.is_relative_to(root):
        raise ValueError(f"{source}: a link leads out of the context folder")
    if is_formfile(root, path):
        raise ValueError(f"{source}: the Formfile may hold passwords and is not copied")


def _error(
    line: int, column: int, directive: str, rule: str, message: str, hint: str = ""
) -> Diagnostic:
    return Diagnostic(line, column, "error", directive, rule, message, hint)


def diagnostics_json(diagnostics: tuple[Diagnostic, ...]) -> str:
    """The findings as `form pack check --json` prints them."""
    return json.dumps([asdict(item) for item in diagnostics])
