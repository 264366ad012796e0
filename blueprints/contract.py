"""What an API call takes and answers, said at its view.

`takes` validates a body, `asks` a query, and hand them to the view; `answers` says
what comes back. `openapi` makes the document of it, so that what is documented is
what is validated; the tests hold every answer that they get against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, TypeAdapter, ValidationError

from appliance.problems import Invalid

View = TypeVar("View", bound=Callable[..., Any])
JSON = "application/json"
LOCATION = {"Location": "Where to follow it."}


@dataclass(frozen=True)
class Content:
    """A body: `shape` is a pydantic model, a dataclass or a type of them, or None for
    plain text. `headers` are those that come with an answer, with their meaning."""

    shape: Any = None
    media: str = JSON
    text: str = ""
    optional: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contract:
    """`problems` are the statuses of refusals beyond those that `openapi` finds out."""

    body: Content | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, tuple[Content, ...]] = field(default_factory=dict)
    problems: frozenset[int] = frozenset()


def contract_of(view: Callable[..., Any]) -> Contract:
    found: Contract = vars(view).get("contract", Contract())
    return found


def answers(
    shape: Any = None,
    status: int = 200,
    *,
    media: str = JSON,
    text: str = "",
    problems: tuple[int, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Say one answer of a view, and statuses of its problems; may be repeated."""

    def note(view: View) -> View:
        had = contract_of(view)
        said = Content(shape, media, text, headers=headers or {})
        found = {**had.answers, status: (said, *had.answers.get(status, ()))}
        refused = had.problems | set(problems)
        vars(view)["contract"] = replace(had, answers=found, problems=refused)
        return view

    return note


def takes(
    shape: Any,
    *,
    media: str = JSON,
    optional: bool = False,
    by_view: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """The view takes a body, given to it as `body`; a view that reads its body itself
    does so `by_view`, as all do that take no JSON."""
    content = Content(shape, media, optional=optional)

    def wrap(view: View) -> View:
        @wraps(view)
        def reading(*arguments: Any, **named: Any) -> Any:
            named["body"] = read_body(shape, optional)
            return view(*arguments, **named)

        found: Any = view if by_view or media != JSON else reading
        had = contract_of(view)
        known = {**had.headers, **(headers or {})}
        vars(found)["contract"] = replace(had, body=content, headers=known)
        return found  # type: ignore[no-any-return]

    return wrap


def asks(
    shape: type[BaseModel] | None = None, **headers: str
) -> Callable[[View], View]:
    """The view takes parameters, given to it as `query`; `headers` are named with
    underscores, with their meaning."""

    def wrap(view: View) -> View:
        @wraps(view)
        def reading(*arguments: Any, **named: Any) -> Any:
            if shape is not None:
                named["query"] = read_query(shape)
            return view(*arguments, **named)

        had = contract_of(view)
        known = {name.replace("_", "-"): text for name, text in headers.items()}
        vars(reading)["contract"] = replace(
            had, query=shape or had.query, headers={**had.headers, **known}
        )
        return reading  # type: ignore[return-value]

    return wrap


def read_body(shape: Any, optional: bool = False) -> Any:
    """The JSON body as its model; raises Invalid."""
    if optional and not request.data:
        return shape()
    sent = read_json()
    if not isinstance(sent, dict):
        raise Invalid(
            f"Send a JSON object with {members(shape)}, as Content-Type {JSON}."
        )
    try:
        return shape.model_validate(sent, strict=True)
    except ValidationError as error:
        raise invalid(shape, error) from None


def read_json() -> Any:
    """What was sent; None where it is no JSON, or has texts that are no Unicode."""
    try:
        sent = request.get_json(silent=True)
        json.dumps(sent, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError):
        return None
    return sent


def read_query(shape: type[BaseModel]) -> Any:
    """The parameters as their model; raises Invalid. Those that it does not know are
    left out, and an empty one counts as not sent."""
    names = (item.alias or name for name, item in shape.model_fields.items())
    sent = {name: request.args[name] for name in names if request.args.get(name)}
    try:
        return shape.model_validate(sent)
    except ValidationError as error:
        raise invalid(shape, error) from None


def invalid(shape: type[BaseModel], error: ValidationError) -> Invalid:
    """The first thing that is wrong as the sentence, all of them by field."""
    errors: dict[str, str] = {}
    for one in error.errors(include_url=False, include_context=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        errors.setdefault(name[:60], sentence(shape, one["type"], one["msg"]))
    name, text = next(iter(errors.items()))
    problem = Invalid(f"{name}: {text}" if name else text)
    problem.members["errors"] = errors
    return problem


def sentence(shape: type[BaseModel], kind: str, text: str) -> str:
    if kind == "missing":
        return f"is missing; wanted are {members(shape)}."
    if kind == "extra_forbidden":
        return f"is not known here; known are {members(shape)}."
    said = text.removeprefix("Input ").removeprefix("Value error, ")
    return f"{said}." if not said.endswith(".") else said


def members(shape: type[BaseModel]) -> str:
    fields = shape.model_fields.items()
    named = [f"{n}" if item.is_required() else f"{n} (optional)" for n, item in fields]
    return ", ".join(named)


@cache
def adapter(shape: Any) -> TypeAdapter[Any]:
    """What validates a shape; made at its first use."""
    return TypeAdapter(shape)
