"""The API described by the node itself: the OpenAPI document, and pages of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request

from appliance.problems import NotFound
from blueprints import openapi
from blueprints.access import requires
from blueprints.contract import answers
from blueprints.openapi import Document

blueprint = Blueprint("reference", __name__)
SCOPES = ("read", "tasks", "deploy")
DEEPEST = 4


@dataclass(frozen=True)
class Row:
    """A member of a schema, as deep as it is nested."""

    depth: int
    name: str
    kind: str
    required: bool
    text: str


def document() -> Document:
    """This node's document; made once."""
    kept = current_app.extensions
    if "openapi" not in kept:
        app: Any = current_app
        kept["openapi"] = openapi.document(app)
    found: Document = kept["openapi"]
    return found


@blueprint.get("/api/v1/openapi.json")
@requires("account", *SCOPES)
@answers(dict[str, Any])
def show() -> Any:
    """This document: all calls of the API, as OpenAPI 3.1."""
    text = json.dumps(document(), ensure_ascii=False)
    return Response(text, mimetype="application/json")


@blueprint.get("/api/")
@requires("account", *SCOPES)
def index() -> Any:
    found: dict[str, list[Document]] = {tag["name"]: [] for tag in document()["tags"]}
    for call in operations():
        found[call["tags"][0]].append(call)
    return render_template("api/index.html", services=found)


@blueprint.get("/api/<id_>")
@requires("account", *SCOPES)
def page(id_: str) -> Any:
    call = next((one for one in operations() if one["operationId"] == id_), None)
    if call is None:
        raise NotFound("call-unknown", f"The API has no call {id_[:60]}; see /api/.")
    body = call.get("requestBody", {}).get("content", {})
    return render_template(
        "api/call.html",
        call=call,
        body={media: list(rows(it["schema"])) for media, it in body.items()},
        answers=[answer(*item) for item in call["responses"].items()],
        curl=curl(call),
        kind=kind,
    )


def operations() -> Iterator[Document]:
    for path, methods in document()["paths"].items():
        for method, call in methods.items():
            yield {**call, "path": path, "method": method.upper()}


def resolved(item: Document) -> Document:
    """What a reference leads to."""
    while "$ref" in item:
        found = document()
        for part in item["$ref"].split("/")[1:]:
            found = found[part]
        item = found
    return item


def answer(status: str, said: Document) -> Document:
    """A status with its sentence, and the rows of what comes with a success."""
    found = resolved(said)
    content = found.get("content", {}) if status < "300" else {}
    return {
        "status": status,
        "text": found["description"],
        "headers": found.get("headers", {}),
        "contents": {
            media: list(rows(it.get("schema", {}))) for media, it in content.items()
        },
    }


def rows(schema: Document, depth: int = 0) -> Iterator[Row]:
    """The members of a schema and of those within, one a row."""
    found = resolved(schema)
    for choice in found.get("anyOf", ()):
        yield from rows(choice, depth)
    if "items" in found:
        yield from rows(found["items"], depth)
    for name, member in found.get("properties", {}).items():
        text, needed = member.get("description", ""), name in found.get("required", ())
        yield Row(depth, name, kind(member), needed, text)
        if depth < DEEPEST:
            yield from rows(member, depth + 1)


def kind(schema: Document) -> str:
    """A schema's type in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(choice) for choice in schema["anyOf"]))
    found = resolved(schema)
    if "enum" in found or "const" in found:
        return " | ".join(map(str, found.get("enum", [found.get("const")])))
    name = str(found.get("format") or found.get("type", "any"))
    return f"{name} of {kind(found['items'])}" if "items" in found else name


def curl(call: Document) -> str:
    """An example that a shell takes as it is, but for the words in capitals."""
    path = call["path"].replace("{", "").replace("}", "")
    for item in call["parameters"]:
        if item["in"] == "path":
            path = path.replace(f"/{item['name']}", f"/{item['name'].upper()}", 1)
    parts = ["curl"] + ([] if call["method"] == "GET" else [f"-X {call['method']}"])
    if call["security"]:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    for media in list(call.get("requestBody", {}).get("content", {}))[:1]:
        parts += sent(media, call["requestBody"]["content"][media]["schema"])
    return " ".join([*parts, request.host_url.rstrip("/") + path])


def sent(media: str, schema: Document) -> list[str]:
    """What gives curl an example of a body."""
    if media == "multipart/form-data":
        return ["-F archive=@agent.tar.gz"]
    if media == "text/plain":
        return ['-H "Content-Type: text/plain"', "--data-binary @FILE"]
    found = resolved(schema)
    members = {name: example(found["properties"][name]) for name in wanted(found)}
    return [f'-H "Content-Type: {media}"', f"-d '{json.dumps(members)}'"]


def wanted(schema: Document) -> list[str]:
    """The members of an example: those that must be, else the first."""
    return schema.get("required") or list(schema.get("properties", {}))[:1]


def example(schema: Document) -> Any:
    samples = {"array": [], "integer": 1, "number": 1, "boolean": True, "string": "…"}
    return samples.get(str(schema.get("type")), {})
