"""The OpenAPI 3.1 document: what routes, `access` and `contract` say of each call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import TypeAdapter
from werkzeug.routing import Rule

from appliance.admin import rights
from appliance.service import by_segment, services
from blueprints.access import COOKIE, PROGRAMS, SAFE
from blueprints.contract import Content, Contract, adapter, contract_of
from blueprints.shapes import Problem

Document = dict[str, Any]
EVENTS = "text/event-stream"
GAP = re.compile(r"<(?:(\w+)(?:\(([^)]*)\))?:)?(\w+?)_?>")
TEXT = (
    "Bodies are JSON, errors are problem documents (RFC 9457): a stable `type`, and in "
    "`detail` what was wrong, where, and what to do. Long work answers 202 with an "
    "operation to follow."
)
NODE = (
    "A node of `auth.trusted_nodes` signs its requests: HTTP Message Signatures "
    "(RFC 9421) with Ed25519; docs/security.md says how."
)
SESSION = (
    "A browser's session. What changes something needs the header `X-CSRF-Token` with "
    "the page's value. Over TLS the cookie is `__Host-formation`."
)
REFUSALS = {
    401: "Nobody is logged in, or the token is not good.",
    403: "The role, the token's scope or the owner does not allow it.",
    404: "There is none that the caller may see.",
    409: "It contradicts what is there or under way.",
    413: "More was sent than may be sent.",
    421: "The node does not go by the name that it was called by.",
    422: "A parameter or member is wrong; `errors` says which.",
    429: "Too much at once; `Retry-After` says when to try again.",
    503: "Something that is needed does not answer now; try again.",
    507: "The node's disk is full.",
}
GAPS = {
    "owner": "The name of the account that owns it.",
    "name": "Its name.",
    "agent": "The agent's name.",
    "id": "Its id.",
    "digest": "The digest, or at least its first 8 characters.",
    "version": "A semantic version.",
    "key": "The name of the secret.",
    "kind": "The kind of record.",
    "segment": "The service's segment of the address.",
    "verb": "What to do.",
}


@dataclass(frozen=True)
class Call:
    """One method of one route."""

    method: str
    rule: Rule
    endpoint: str
    id: str
    access: str
    scopes: tuple[str, ...]
    text: str
    contract: Contract

    @property
    def path(self) -> str:
        return GAP.sub(r"{\3}", self.rule.rule)

    @property
    def tag(self) -> str:
        """The title of the service that the path belongs to."""
        parts = self.rule.rule.split("/")
        segment = parts[3] if parts[1] == "api" else ""
        service = by_segment(segment)
        if service is not None:
            return service.title
        return segment.capitalize() if segment.isalpha() else "Services"


def calls(app: Flask) -> list[Call]:
    """All of them, by path."""
    rules = sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
    wanted = [rule for rule in rules if rule.rule.startswith(PROGRAMS)]
    return [call for rule in wanted for call in calls_of(app, rule)]


def calls_of(app: Flask, rule: Rule) -> Iterator[Call]:
    view = app.view_functions[rule.endpoint]
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        access = vars(view)["access"]
        scopes = vars(view).get("scopes") or (rights.scope_of(method, access),)
        yield Call(
            method,
            rule,
            rule.endpoint,
            operation_id(app, rule),
            access,
            () if access == "public" else scopes,
            text_of(view),
            contract_of(view),
        )


def operation_id(app: Flask, rule: Rule) -> str:
    """The endpoint's name; of a route with fewer gaps than its twin, `…_short`."""
    most = max(len(twin.arguments) for twin in app.url_map.iter_rules(rule.endpoint))
    short = len(rule.arguments) < most
    name = str(rule.endpoint).replace(".", "_")
    return f"{name}_short" if short else name


def text_of(view: Callable[..., Any]) -> str:
    return " ".join((view.__doc__ or "").split())


def document(app: Flask) -> Document:
    """The whole document."""
    found = calls(app)
    refs, schemas = make_schemas(found)
    paths: dict[str, Document] = {}
    for call in found:
        paths.setdefault(call.path, {})[call.method.lower()] = operation(call, refs)
    titles = {service.title: service.summary for service in services().values()}
    tags = [
        {"name": tag, "description": titles.get(tag, "")}
        for tag in dict.fromkeys(call.tag for call in found)
    ]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Formation",
            "version": version("formation"),
            "description": TEXT,
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": dict(refusals(found, refs)),
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": SESSION,
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token.",
                },
                "node": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Signature",
                    "description": NODE,
                },
            },
        },
    }


def operation(call: Call, refs: dict[str, Document]) -> Document:
    summary, _, more = call.text.partition(". ")
    contract = call.contract
    secured = [{"session": []}, {"token": list(call.scopes)}, {"node": []}]
    found: Document = {
        "operationId": call.id,
        "tags": [call.tag],
        "summary": summary.rstrip("."),
        "description": more,
        "x-role": call.access,
        "security": [] if call.access == "public" else secured,
        "parameters": list(parameters(call)),
        "responses": dict(responses(call, refs)),
    }
    if contract.body is not None:
        content = {contract.body.media: {"schema": schema_of(contract.body, refs)}}
        required = not contract.body.optional
        found["requestBody"] = {"content": content, "required": required}
    return {key: value for key, value in found.items() if value != ""}


def parameters(call: Call) -> Iterator[Document]:
    """Gaps of the path, parameters of the query, headers."""
    for kind, choice, name in GAP.findall(call.rule.rule):
        schema: Document = {"type": "string", "minLength": 1}
        if kind == "any":
            schema["enum"] = choice.split(",")
        yield parameter("path", name, schema, GAPS.get(name, ""), required=True)
    if call.contract.query is not None:
        known = call.contract.query.model_json_schema(by_alias=True)["properties"]
        for name, schema in known.items():
            schema.pop("title", None)
            yield parameter("query", name, schema, schema.pop("description", ""))
    for name, text in call.contract.headers.items():
        yield parameter("header", name, {"type": "string"}, text)


def parameter(
    place: str, name: str, schema: Document, text: str, required: bool = False
) -> Document:
    said = {"name": name, "in": place, "required": required, "schema": schema}
    return {**said, "description": text}


def responses(call: Call, refs: dict[str, Document]) -> Iterator[tuple[str, Document]]:
    for status, contents in sorted(call.contract.answers.items()):
        yield str(status), response(status, contents, refs)
    for status in sorted(refused(call)):
        yield str(status), {"$ref": f"#/components/responses/{name_of(status)}"}


def response(
    status: int, contents: tuple[Content, ...], refs: dict[str, Document]
) -> Document:
    texts = " ".join(content.text for content in contents if content.text)
    found: Document = {"description": texts or HTTPStatus(status).phrase}
    if status != 304:
        found["content"] = {
            content.media: {"schema": schema_of(content, refs)}
            if content.media != EVENTS
            else {}  # a schema would be of each event
            for content in contents
        }
    headers = {name: text for item in contents for name, text in item.headers.items()}
    if headers:
        found["headers"] = {name: header(text) for name, text in headers.items()}
    return found


def header(text: str) -> Document:
    return {"description": text, "schema": {"type": "string"}}


def refused(call: Call) -> set[int]:
    """Statuses of the problems that this call may answer."""
    found = {421, 503, *call.contract.problems}
    if call.access != "public":
        found |= {401, 403}
    if call.rule.arguments:
        found.add(404)
    if call.method not in SAFE:
        found |= {403, 507}
    if call.contract.body is not None:
        found |= {413, 422}
    if call.contract.query is not None:
        found.add(422)
    return found


def refusals(
    found: list[Call], refs: dict[str, Document]
) -> Iterator[tuple[str, Document]]:
    """The problem documents by status, for all calls to refer to."""
    for status in sorted({status for call in found for status in refused(call)}):
        phrase = HTTPStatus(status).phrase
        content = {"application/problem+json": {"schema": refs[repr(Problem)]}}
        said: Document = {
            "description": REFUSALS.get(status, f"{phrase}."),
            "content": content,
        }
        if status in (429, 503):
            said["headers"] = {"Retry-After": header("Seconds to wait.")}
        yield name_of(status), said


def name_of(status: int) -> str:
    return re.sub(r"\W", "", HTTPStatus(status).phrase)


def schema_of(content: Content, refs: dict[str, Document]) -> Document:
    return {"type": "string"} if content.shape is None else refs[repr(content.shape)]


def make_schemas(found: list[Call]) -> tuple[dict[str, Document], Document]:
    """A reference to each shape by its repr, and all schemas by name.

    An answer may have members that this version does not know, so nothing is said of
    more; what is taken may not.
    """
    taken = [call.contract.body for call in found if call.contract.body is not None]
    bodies = {repr(item.shape): item.shape for item in taken if item.shape is not None}
    given = [
        item
        for call in found
        for contents in call.contract.answers.values()
        for item in contents
    ]
    shapes = {repr(item.shape): item.shape for item in given} | {repr(Problem): Problem}
    wanted: list[tuple[str, Any, TypeAdapter[Any]]] = [
        (name, "serialization", adapter(shape))
        for name, shape in shapes.items()
        if shape is not None
    ]
    wanted += [(name, "validation", adapter(shape)) for name, shape in bodies.items()]
    refs, whole = TypeAdapter.json_schemas(
        wanted, ref_template="#/components/schemas/{model}"
    )
    schemas: Document = whole.get("$defs", {})
    strict = {shape.__name__ for shape in bodies.values()}
    for name, schema in schemas.items():
        if name not in strict and schema.get("additionalProperties") in (True, False):
            del schema["additionalProperties"]
    return {name: schema for (name, _), schema in refs.items()}, schemas
