"""The directives, each with what it does to the draft of a Formfile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from appliance.pack import users, values
from appliance.pack.draft import Draft
from appliance.pack.formfile import Copy, GuestUser, Install, Model, Run
from appliance.pack.identity import is_formfile
from appliance.pack.lexer import Line, Word
from appliance.pack.values import Wrong, shown

ALIASES = {
    "CPU": "VCPU",
    "CORES": "VCPU",
    "MEMORY": "MEM",
    "MBS": "MEM",
    "STORAGE": "DISK",
}
BASES = ("debian:13", "debian:12")
MOST_TAGS, MOST_VOLUMES = 16, 24
LOST = ("/dev", "/proc", "/run", "/sys", "/tmp")

Directive = Callable[[Draft, Line, list[Word]], None]
DIRECTIVES: dict[str, Directive] = {}
REST = frozenset({"DESCRIPTION", "RUN", "ENTRYPOINT"})
ONCE = frozenset(
    {
        *("NAME", "VERSION", "DESCRIPTION", "MODEL", "CATEGORY", "LICENSE", "FROM"),
        *("VCPU", "MEM", "DISK", "WORKDIR", "RUNAS", "HEALTHCHECK", "ENTRYPOINT"),
    }
)


def _directive(name: str) -> Callable[[Directive], Directive]:
    def add(function: Directive) -> Directive:
        DIRECTIVES[name] = function
        return function

    return add


def _one(found: list[Word], example: str) -> Word:
    if len(found) != 1:
        why = f"{len(found)} are given; quote what holds blanks" if found else "none is"
        hint = f"Such as {example}."
        raise Wrong(f"needs one argument, {why}", hint, "arguments")
    return found[0]


def _some(found: list[Word], example: str) -> list[Word]:
    if not found:
        raise Wrong("needs an argument", f"Such as {example}.", "arguments")
    return found


def _two(found: list[Word], example: str) -> tuple[Word, Word]:
    if len(found) != 2:
        hint = f"Such as {example}; quote what holds blanks."
        raise Wrong(f"needs two arguments, {len(found)} are given", hint, "arguments")
    return found[0], found[1]


def _simple(name: str, key: str, example: str, convert: Callable[[str], Any]) -> None:
    def read(draft: Draft, line: Line, found: list[Word]) -> None:
        word = _one(found, f"{name} {example}")
        draft.fields[key] = draft.read(word, convert)

    DIRECTIVES[name] = read


_simple("VERSION", "version", "1.4.0", values.version)
_simple("WORKDIR", "workdir", "/app", values.absolute)
_simple("RUNAS", "runas", "nobody", values.username)
_simple("VCPU", "vcpu", "2", lambda t: values.number(t, 1, 128))
_simple(
    *("MEM", "memory_mib", "2048"),
    lambda t: values.number(t, 512, 256000, " (MiB)", M=1, G=1024),
)
_simple(
    *("DISK", "disk_gib", "10"),
    lambda t: values.number(t, 5, 65535, " (GiB)", G=1, T=1024),
)


@_directive("NAME")
def _name(draft: Draft, line: Line, found: list[Word]) -> None:
    word = _one(found, "NAME summarizer")
    name = values.label(word.text)
    if not name:
        hint = "Lower-case letters, digits and inner hyphens, at most 63."
        raise Wrong(f"{shown(word.text)}: no letter or digit is left of it", hint)
    if name != word.text:
        hint = f"Write NAME {name}."
        text = f"the name becomes {name}"
        draft.warn(draft.place(word), "changed", text, hint)
    draft.fields["name"] = name


@_directive("DESCRIPTION")
def _description(draft: Draft, line: Line, found: list[Word]) -> None:
    draft.fields["description"] = line.rest


@_directive("MODEL")
def _model(draft: Draft, line: Line, found: list[Word]) -> None:
    word = _one(found, "MODEL preferred:gpt-4")
    kind, _, id_ = word.text.partition(":")
    if kind not in ("required", "preferred") or not id_:
        why = f"{shown(word.text)}: required:ID or preferred:ID is needed"
        draft.refuse(Wrong(why, "Such as MODEL preferred:gpt-4."), word)
    draft.fields["model"] = Model(id_, kind == "required")


@_directive("TAGS")
def _tags(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "TAGS text summary"):
        tag = word.text.lower()
        if tag != word.text:
            text = f"the tag becomes {shown(tag)}"
            draft.warn(draft.place(word), "changed", text, f"Write {shown(tag)}.")
        if not tag or not tag.isprintable() or len(tag) > 64:
            wrong = Wrong(f"{shown(tag)} is not a tag", "Words of at most 64 letters.")
            draft.refuse(wrong, word)
        elif draft.is_new("tags", tag, word, shown(tag)):
            draft.add("tags", tag)
            if len(draft.get("tags")) == MOST_TAGS + 1:
                hint = "Keep those that people would look for."
                draft.refuse(Wrong(f"at most {MOST_TAGS} tags", hint, "range"), word)


@_directive("CATEGORY")
def _category(draft: Draft, line: Line, found: list[Word]) -> None:
    word = _one(found, "CATEGORY tool")
    if word.text not in values.CATEGORIES:
        draft.refuse(values.one_of(word.text, values.CATEGORIES), word)
    draft.fields["category"] = word.text


@_directive("PRICE")
def _price(draft: Draft, line: Line, found: list[Word]) -> None:
    per, amount = _two(found, "PRICE call 2")
    credits_ = draft.read(amount, values.credit)
    price = draft.read(per, lambda text: values.price(text, credits_ or 0.0))
    if price is None:
        return
    if any(known.per == price.per for known in draft.get("prices")):
        hint = "Keep one price for each of what is paid for."
        draft.refuse(Wrong(f"{per.text} has a price already", hint, "twice"), per)
    draft.add("prices", price)


@_directive("LICENSE")
def _license(draft: Draft, line: Line, found: list[Word]) -> None:
    first = _some(found, "LICENSE Apache-2.0")[0]
    text = " ".join(word.text for word in found)
    draft.fields["license"] = draft.read(replace(first, text=text), values.license_id)


@_directive("DOMAINS")
def _domains(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "DOMAINS sum.example.org"):
        domain = draft.read(word, values.domain)
        if domain is None or not draft.is_new("domains", domain, word, domain.host):
            continue
        for known in draft.get("domains"):
            if (known.host, known.path) == (domain.host, domain.path):
                what = f"{domain.host}{domain.path} leads somewhere already"
                draft.refuse(Wrong(what, "Keep one of the two.", "twice"), word)
        draft.add("domains", domain)


@_directive("FROM")
def _from(draft: Draft, line: Line, found: list[Word]) -> None:
    word = _one(found, "FROM debian:13")
    if word.text not in BASES:
        draft.refuse(values.one_of(word.text, BASES), word)
    draft.fields["base"] = word.text


@_directive("GPU")
def _gpu(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "GPU RTX:1"):
        draft.add("gpus", draft.read(word, values.gpu))


@_directive("USER")
def _user(draft: Draft, line: Line, found: list[Word]) -> None:
    fields: dict[str, Any] = {}
    for word in _some(found, "USER username:webdev sudo:true"):
        pair = draft.read(word, users.field)
        if pair is None:
            fields.setdefault("username", "")  # its own error is enough
            continue
        if pair[0] in fields:
            name = "passwd" if pair[0] == "passwd_hash" else pair[0]
            wrong = Wrong(f"{name} is there twice", "Keep one of the two.", "twice")
            draft.refuse(wrong, word)
        if pair[0] == "username":
            _new_user(draft, pair[1], word)
        fields[pair[0]] = pair[1]
    if "username" not in fields:
        hint = "USER username:webdev, and the other fields behind it."
        raise Wrong("username:NAME is needed", hint, "required")
    user = GuestUser(**fields)
    draft.add("users", user)
    for text, hint in users.contradictions(user):
        draft.warn(draft.place(None), "effect", f"USER {user.username}: {text}", hint)


def _new_user(draft: Draft, name: str, word: Word) -> None:
    if any(user.username == name for user in draft.get("users")):
        hint = "Put all its fields on one line."
        draft.refuse(Wrong(f"{name} has a USER line already", hint, "twice"), word)


@_directive("ENV")
def _env(draft: Draft, line: Line, found: list[Word]) -> None:
    scope: str | None = "system"
    words = _some(found, "ENV PORT=8000")
    if words[0].text.startswith("--"):
        option, words = words[0], words[1:]
        name, equals, text = option.text.partition("=")
        if name != "--scope" or not equals:
            hint = "--scope=system, --scope=user:NAME or --scope=service:NAME."
            raise Wrong(f"{shown(option.text)}: no such option", hint, "option")
        scope = draft.read(replace(option, text=text), values.scope)
        if scope:
            draft.mark("scope", scope, option)
    if len(words) != 1:
        hint = 'One variable a line; quote a value with blanks: ENV TEXT="a b".'
        raise Wrong("needs one KEY=value", hint, "arguments")
    word = words[0]
    variable = draft.read(word, lambda t: values.assignment(t, scope or "system"))
    if variable is None:
        return
    draft.mark("env", variable.key, word)
    others = [v for v in draft.get("env") if v.scope == scope]
    if any(v.key == variable.key for v in others):
        text = f"{variable.key} is set again; the last one counts"
        draft.warn(draft.place(word), "twice", text, "Remove the other line.")
    if f"${variable.key}" in variable.value:
        text = f"a value is taken as it stands: ${variable.key} is not replaced"
        draft.warn(draft.place(word), "literal", text, "Write the whole value.")
    draft.add("env", variable)


@_directive("INSTALL")
def _install(draft: Draft, line: Line, found: list[Word]) -> None:
    words = _some(found, "INSTALL python3 curl")
    packages = [draft.read(word, values.package) for word in words]
    draft.add("steps", Install(tuple(p or "" for p in packages), line.number))


@_directive("COPY")
def _copy(draft: Draft, line: Line, found: list[Word]) -> None:
    source, target = _two(found, "COPY ./agent.py /app/agent.py")
    path = draft.read(target, values.absolute)
    if path and any(path == p or path.startswith(p + "/") for p in LOST):
        text = f"{path} is in memory: what is copied there is not in the image"
        hint = "Copy to another folder, such as /app."
        draft.warn(draft.place(target), "effect", text, hint)
    if path and path != "/" and target.text.endswith("/"):
        path += "/"  # it says that the target is a folder
    checked = draft.read(source, partial(_source, draft))
    draft.mark("copy", path or "", target)
    draft.add("steps", Copy(checked or "", path or "", line.number))


def _source(draft: Draft, text: str) -> str:
    """The source of a COPY; with a context, one that is there and inside it."""
    source = values.context_path(text)
    if draft.holds is not None and not draft.holds(source):
        raise _missing(source)
    if draft.context is None:
        return source
    root = draft.context.resolve()
    try:
        path = (root / source).resolve(strict=True)
    except (OSError, RuntimeError):
        raise _missing(source) from None
    if not path.is_relative_to(root):
        hint = "Put the file itself into the folder."
        why = f"{shown(source)}: a link leads out of the context folder"
        raise Wrong(why, hint, "inside")
    if is_formfile(root, path):
        why = f"{shown(source)}: the Formfile may hold passwords and is not copied"
        raise Wrong(why, "Remove the line.", "inside")
    return source


def _missing(source: str) -> Wrong:
    hint = "Put it beside the Formfile; its path is relative to that folder."
    text = f"{shown(source)}: there is no such file in the context"
    return Wrong(text, hint, "exists")


@_directive("RUN")
def _run(draft: Draft, line: Line, found: list[Word]) -> None:
    if not line.rest:
        hint = "Such as RUN python3 -m compileall /app."
        raise Wrong("needs a shell command", hint, "arguments")
    draft.add("steps", Run(line.rest, line.number))


@_directive("VOLUME")
def _volume(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "VOLUME /data"):
        path = draft.read(word, values.volume)
        if path is None or not draft.is_new("volumes", path, word, path):
            continue
        for known in draft.get("volumes"):
            outer, inner = sorted((known, path), key=len)
            if inner.startswith(outer + "/"):
                hint = f"Keep VOLUME {outer}; it holds the other too."
                wrong = Wrong(f"{inner} lies inside the volume {outer}", hint, "path")
                draft.refuse(wrong, word)
        draft.mark("volume", path, word)
        draft.add("volumes", path)
        if len(draft.get("volumes")) == MOST_VOLUMES + 1:
            hint = "Put what belongs together into one folder."
            wrong = Wrong(f"at most {MOST_VOLUMES} volumes", hint, "range")
            draft.refuse(wrong, word)


@_directive("SECRET")
def _secret(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "SECRET API_KEY"):
        name = draft.read(word, values.variable)
        if name and draft.is_new("secrets", name, word, name):
            draft.mark("secret", name, word)
            draft.add("secrets", name)


@_directive("EXPOSE")
def _expose(draft: Draft, line: Line, found: list[Word]) -> None:
    for word in _some(found, "EXPOSE 8000"):
        port = draft.read(word, values.port)
        if port and draft.is_new("expose", port, word, word.text):
            draft.mark("expose", "first", word)
            draft.add("expose", port)


@_directive("HEALTHCHECK")
def _healthcheck(draft: Draft, line: Line, found: list[Word]) -> None:
    word = _one(found, "HEALTHCHECK /health")
    draft.fields["healthcheck"] = draft.read(word, values.http_path)


@_directive("ENTRYPOINT")
def _entrypoint(draft: Draft, line: Line, found: list[Word]) -> None:
    if not line.rest:
        hint = 'Such as ENTRYPOINT ["python3", "/app/agent.py"].'
        raise Wrong("needs a JSON array or a shell line", hint, "arguments")
    word = Word(line.rest, line.rest_at, line.rest_at + len(line.rest))
    draft.fields["entrypoint"] = draft.read(word, values.entrypoint)
