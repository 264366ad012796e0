"""Holds answers of the API against what the document says of their call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, request
from pydantic import ValidationError

from blueprints import create_app
from blueprints.contract import adapter
from blueprints.openapi import Call, calls, refused
from blueprints.shapes import Problem


@contextmanager
def watched_app() -> Iterator[Flask]:
    """An app; what it answered until the end was as its document says."""
    made = create_app()
    found = watch(made)
    yield made
    assert found == []


def watch(app: Flask) -> list[str]:
    """Look at each answer from now on; the list fills with what is not documented."""
    known = {(call.rule.rule, call.method): call for call in calls(app)}
    found: list[str] = []

    def look(answer: Response) -> Response:
        rule = request.url_rule.rule if request.url_rule else ""
        call = known.get((rule, request.method))
        if call is not None:
            found.extend(f"{call.method} {rule}: {w}" for w in wrongs(call, answer))
        return answer

    app.after_request(look)
    return found


def wrongs(call: Call, answer: Response) -> list[str]:
    status, media = answer.status_code, answer.mimetype
    if answer.is_streamed:
        return []
    said = call.contract.answers.get(status, ())
    if not said and status not in refused(call):
        return [f"{status} is not documented: {answer.get_data(as_text=True)[:200]}"]
    if media == "application/problem+json":
        shape: Any = Problem
    else:
        fitting = [one for one in said if one.media.partition(";")[0] == media]
        if status == 304 or (fitting and fitting[0].shape is None):
            return []
        if not fitting:
            return [f"{status} as {media} is not documented"]
        shape = fitting[0].shape
    try:
        adapter(shape).validate_json(answer.get_data(), strict=True)
    except ValidationError as error:
        return [f"{status}: {error}"]
    return []
