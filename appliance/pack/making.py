"""Directives about what is in the image and what runs: ENV to ENTRYPOINT."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from appliance.pack.diagnostics import Wrong, shown
from appliance.pack.formfile import Copy, EnvVar, Install, Run
from appliance.pack.lexer import Word
from appliance.pack.registry import Call, directive
from appliance.pack.values import absolute, key, matching, username, wrong

_SCOPE = re.compile(r"system|user:[a-z_][a-z0-9_-]{0,31}|service:[A-Za-z0-9_.@-]{1,64}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?")
_PATH = re.compile(r'/[!"$-~]*')


@directive("ENV")
def env(call: Call) -> None:
    found, scope = list(call.some("ENV KEY=value")), "system"
    if found[0].text.startswith("--"):
        scope = _scope(found.pop(0))
    if len(found) != 1 or "=" not in found[0].text:
        hint = 'One ENV a variable; quote a value that holds blanks: KEY="a b"'
        raise Wrong("arguments", "KEY=value is needed", _last(found), hint)
    word = found[0]
    name, _, value = word.text.partition("=")
    made = EnvVar(key(Word(name, word.start, word.end)), value, scope)
    if not call.draft.is_new("env", (name, scope)):
        call.note("repeated", f"{name}: set before; this one counts", word)
    call.draft.lists["env"].append(made)
    call.draft.places.append((made, call, word))


def _last(found: list[Word]) -> Word | None:
    return found[-1] if found else None


def _scope(word: Word) -> str:
    option, _, scope = word.text.partition("=")
    if option != "--scope" or not _SCOPE.fullmatch(scope):
        message = "--scope=system, --scope=user:NAME or --scope=service:NAME is needed"
        raise wrong("scope", word, message)
    return scope


@directive("WORKDIR", once=True)
def workdir(call: Call) -> None:
    call.draft.single["workdir"] = absolute(call.one("WORKDIR /app"))


@directive("INSTALL")
def install(call: Call) -> None:
    names: list[str] = []
    message = "the name of a Debian package is needed, without a version"
    call.each(
        call.some("INSTALL python3"),
        lambda word: names.append(matching(word, _PACKAGE, "package", message)),
    )
    call.draft.lists["steps"].append(Install(tuple(names)))


@directive("COPY")
def copy(call: Call) -> None:
    if len(call.words) != 2 or not all(word.text for word in call.words):
        message = f"a source and a target are needed, not {len(call.words)} arguments"
        hint = "Write COPY ./agent.py /app/agent.py; name a folder for many files"
        raise Wrong("arguments", message, None, hint)
    source, target = call.words
    made = Copy(inside(source), _target(target), call.line.at(source.start)[0])
    call.draft.lists["steps"].append(made)
    call.draft.places.append((made, call, source))


def inside(word: Word) -> str:
    """A path of the context, as far as its text says; links are another matter."""
    path = posixpath.normpath(word.text)
    if path.startswith("/") or path == ".." or path.startswith("../"):
        hint = "Name it from the context folder, as ./agent.py"
        raise wrong("outside", word, "leads out of the context folder", hint)
    return path


def _target(word: Word) -> str:
    """Absolute, or still relative to WORKDIR, which may come later."""
    if ".." in word.text.split("/"):
        raise wrong("absolute", word, "a path without .. is needed")
    is_folder = word.text.endswith(("/", "/.")) or word.text == "."
    path = posixpath.normpath(word.text).replace("//", "/")
    return path if not is_folder or path == "/" else path + "/"


@directive("RUN", rest=True)
def run(call: Call) -> None:
    if not call.rest.text:
        raise Wrong("arguments", "a shell command is missing")
    call.draft.lists["steps"].append(Run(call.rest.text))


@directive("SECRET")
def secret(call: Call) -> None:
    call.each(call.some("SECRET API_KEY"), lambda word: _secret(call, word))


def _secret(call: Call, word: Word) -> None:
    if "=" in word.text:
        # its value must not be shown
        hint = "Give the value with form secret set, never in the Formfile"
        raise Wrong("secret", "only the name of a secret stands here", word, hint)
    if call.draft.is_new("secret", key(word)):
        call.draft.lists["secrets"].append(word.text)


@directive("RUNAS", single=True)
def runas(call: Call) -> None:
    call.draft.single["runas"] = username(call.one("RUNAS agent"))


@directive("HEALTHCHECK", single=True)
def healthcheck(call: Call) -> None:
    word = call.one("HEALTHCHECK /health")
    message = "an HTTP path is needed, with / first"
    call.draft.single["healthcheck"] = matching(word, _PATH, "path", message)


@directive("ENTRYPOINT", rest=True, once=True)
def entrypoint(call: Call) -> None:
    rest = call.rest
    if not rest.text:
        hint = 'Write ENTRYPOINT ["python3", "/app/agent.py"] or a shell line'
        raise Wrong("arguments", "a command is missing", None, hint)
    if not rest.text.startswith("["):
        call.draft.single["entrypoint"] = ("/bin/sh", "-c", rest.text)
        return
    call.draft.single["entrypoint"] = _argv(rest)


def _argv(rest: Word) -> tuple[str, ...]:
    hint = 'Write ["python3", "/app/agent.py"]; a shell line does not begin with ['
    try:
        found: Any = json.loads(rest.text)
    except json.JSONDecodeError as error:
        at = Word("", rest.start + error.pos, rest.end)
        raise Wrong("json", f"not JSON: {error.msg}", at, hint) from None
    except (ValueError, RecursionError):
        raise Wrong("json", "not a JSON array of words", rest, hint) from None
    if not found or not all(isinstance(word, str) for word in found) or not found[0]:
        raise Wrong("json", "a JSON array of one word or more is needed", rest, hint)
    for word in found:
        if "\0" in word or not _is_utf8(word):
            raise Wrong("text", f"{shown(word)}: not text that can be run", rest)
    return tuple(found)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
