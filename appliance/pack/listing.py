"""Directives about what an agent is and how it is listed: NAME to DOMAINS."""

from __future__ import annotations

import re
from typing import get_args, get_type_hints

from appliance.pack.diagnostics import Wrong, nearest
from appliance.pack.formfile import Model, Price, VanityDomain
from appliance.pack.lexer import Word
from appliance.pack.registry import Call, directive
from appliance.pack.values import choice, host, label, matching, number, wrong

CATEGORIES = (
    *("chatbot", "assistant", "analyst", "coder", "writer", "researcher"),
    *("automation", "tool", "other"),
)
TAGS_AT_MOST = 16
# the usual ones, to notice a slip; any other id passes
_LICENSES = (
    *("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0"),
    *("GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later"),
    *("LGPL-3.0-only", "LGPL-3.0-or-later", "AGPL-3.0-only", "AGPL-3.0-or-later"),
    *("EUPL-1.2", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "Unlicense", "0BSD", "Zlib"),
)
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_N = r"(?:0|[1-9][0-9]*)"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_N}\.{_N}\.{_N}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_DOMAIN = re.compile(
    r"(?P<host>[^/=@]+)(?P<path>/[^=@\s]*)?(?:=(?P<port>[^@]*))?(?:@(?P<audience>.*))?"
)


@directive("NAME", once=True)
def name(call: Call) -> None:
    word = call.one("NAME my-agent")
    made = label(word.text)
    if not made:
        raise wrong("name", word, "no letter a to z or digit is left of it")
    call.draft.single["name"] = made
    if made != word.text:
        call.note("name", f"becomes {made}", word, f"Write NAME {made}")


@directive("VERSION", once=True)
def version(call: Call) -> None:
    word = call.one("VERSION 1.0.0")
    if len(word.text) > 128:
        raise wrong("version", word, "at most 128 characters")
    message = "a semantic version such as 1.4.0 or 2.0.0-rc.1 is needed"
    call.draft.single["version"] = matching(word, _VERSION, "version", message)


@directive("DESCRIPTION", rest=True, once=True)
def description(call: Call) -> None:
    if not call.rest.text:
        raise Wrong("arguments", "a sentence is missing")
    call.draft.single["description"] = call.rest.text


@directive("MODEL", single=True)
def model(call: Call) -> None:
    word = call.one("MODEL preferred:gpt-4")
    kind, _, id_ = word.text.partition(":")
    if kind not in ("required", "preferred") or not id_:
        raise wrong("model", word, "required:ID or preferred:ID is needed")
    call.draft.single["model"] = Model(id_, kind == "required")


@directive("TAGS")
def tags(call: Call) -> None:
    call.each(call.some("TAGS text summary"), lambda word: _tag(call, word))


def _tag(call: Call, word: Word) -> None:
    tag = word.text.lower()
    if tag != word.text:
        call.note("lower-case", f"{tag}: tags are lower case", word)
    if not call.draft.is_new("tag", tag):
        return
    if len(call.draft.lists["tags"]) == TAGS_AT_MOST:
        raise wrong("count", word, f"at most {TAGS_AT_MOST} tags")
    call.draft.lists["tags"].append(tag)


@directive("CATEGORY", single=True)
def category(call: Call) -> None:
    call.draft.single["category"] = choice(call.one("CATEGORY tool"), CATEGORIES)


@directive("PRICE")
def price(call: Call) -> None:
    if len(call.words) != 2:
        message = "what is paid for and a number of credits are needed"
        raise Wrong("arguments", message, None, "Write PRICE call 2")
    unit, amount = call.words
    known = get_args(get_type_hints(Price)["per"])
    per = next((one for one in known if one == choice(unit, known)), None)
    if not _AMOUNT.fullmatch(amount.text):
        hint = "Digits, at most six of them after a point"
        raise wrong("number", amount, "a number of credits is needed", hint)
    if per is None or not call.draft.is_new("price", per):
        raise wrong("unique", unit, "this has a price already")
    call.draft.lists["prices"].append(Price(per, float(amount.text)))


@directive("LICENSE", single=True)
def license_(call: Call) -> None:
    word = call.one("LICENSE Apache-2.0")
    message = "an SPDX id such as MIT or Apache-2.0 is needed"
    found = matching(word, _SPDX, "license", message)
    call.draft.single["license"] = found
    like = {known.lower(): known for known in _LICENSES}
    near = like.get(nearest(found.lower(), like))
    if near and found not in _LICENSES and near.lower() == found.lower():
        call.note("license", f"{found}: the SPDX id is {near}", word)


@directive("DOMAINS")
def domains(call: Call) -> None:
    found = call.some("DOMAINS www.example.org/path=8000@public")
    call.each(found, lambda word: _domain(call, word))


def _domain(call: Call, word: Word) -> None:
    match = _DOMAIN.fullmatch(word.text)
    if not match:
        raise wrong("domain", word, "HOST[/PATH][=PORT][@AUDIENCE] is needed")
    at = None
    if match["port"] is not None:
        at = number(Word(match["port"], word.start, word.end), 1, 65535, " (port)")
    known = get_args(get_type_hints(VanityDomain)["audience"])
    audience = match["audience"] if match["audience"] is not None else "public"
    who = next((one for one in known if one == choice(word, known, audience)), "public")
    made = VanityDomain(host(word, match["host"]), match["path"] or "/", at, who)
    if not call.draft.is_new("domain", (made.host, made.path)):
        raise wrong("unique", word, "this domain and path stand here already")
    call.draft.lists["domains"].append(made)
    call.draft.places.append((made, call, word))
