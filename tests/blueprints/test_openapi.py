"""The OpenAPI document: complete, and what the code does; its pages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from pydantic import Field

from appliance.config import Settings
from blueprints import create_app, openapi
from blueprints.contract import answers, asks, takes
from blueprints.shapes import Answer, Query, Wish

from .conformance import watch
from .conftest import Person

Document = dict[str, Any]


@pytest.fixture
def document(settings: Settings) -> Document:
    return openapi.document(create_app())


def each(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            yield f"{method.upper()} {path}", call


def test_every_call_says_what_it_does_and_answers(document: Document) -> None:
    """A new route says it with `answers` and a docstring; see blueprints/contract."""
    for name, call in each(document):
        assert call.get("summary"), f"{name} has no docstring"
        good = [status for status in call["responses"] if status < "400"]
        assert good, f"{name} does not say what it answers: @answers(…)"


def test_every_route_of_the_api_is_in_it(settings: Settings) -> None:
    app = create_app()
    there = {
        (method.lower(), openapi.GAP.sub(r"{\3}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = openapi.document(app)["paths"]
    assert there <= {(method, path) for path in paths for method in paths[path]}


def test_ids_are_unique_and_every_gap_is_a_parameter(document: Document) -> None:
    ids = [call["operationId"] for _, call in each(document)]
    assert len(ids) == len(set(ids))
    for name, call in each(document):
        gaps = {p["name"] for p in call["parameters"] if p["in"] == "path"}
        assert gaps == set(re.findall(r"{(\w+)}", name))


def test_what_changes_something_needs_an_account_and_a_scope(
    document: Document,
) -> None:
    for name, call in each(document):
        if not name.startswith("GET "):
            assert call["security"][1]["token"], name
            assert {"401", "403", "503", "507"} <= set(call["responses"]), name


def test_references_lead_somewhere_and_schemas_are_schemas(document: Document) -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found = document
        for part in reference.split("/"):
            found = found[part]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_what_is_taken_knows_its_members_and_answers_may_grow(
    document: Document,
) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["TokenWish"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Token"]


def test_it_is_served_to_accounts(ada: Person, nobody: FlaskClient) -> None:
    served = ada.browser.get("/api/v1/openapi.json").json
    assert served is not None and served["openapi"].startswith("3.1")
    assert nobody.get("/api/v1/openapi.json").status_code == 401


class Wanted(Wish):
    days: int
    name: str = ""


class Asked(Query):
    limit: int = Field(10, ge=1)


class Made(Answer):
    days: int


@pytest.fixture
def probe(settings: Settings) -> Flask:
    """An app with a call whose contract is known."""
    app = create_app()

    @takes(Wanted)
    @asks(Asked)
    @answers(Made)
    def call(body: Wanted, query: Asked) -> Any:
        """Try."""
        return jsonify(days="many" if body.days == 7 else body.days + query.limit)

    vars(call).update(access="public", audited=False)
    app.add_url_rule("/api/v1/probe", "probe", call, methods=["POST"])
    return app


def test_a_good_body_reaches_the_view_as_its_model(probe: Flask) -> None:
    answer = probe.test_client().post("/api/v1/probe?limit=2", json={"days": 3})
    assert answer.json == {"days": 5}


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({}, "days", "days: is missing; wanted are days, name (optional)."),
        ({"days": "3"}, "days", "days: should be a valid integer."),
        ({"days": True}, "days", "days: should be a valid integer."),
        ({"days": 3, "detail": 1}, "detail", "detail: is not known here; known are"),
    ],
)
def test_a_wrong_body_is_named(
    probe: Flask, body: Any, field: str, sentence: str
) -> None:
    answer = probe.test_client().post("/api/v1/probe", json=body)
    assert answer.status_code == 422
    problem = answer.json
    assert problem["detail"].startswith(sentence)
    assert list(problem["errors"]) == [field]


NO_OBJECTS = [b"", b"[]", b"{", b"null", b"\xff", b'{"name": "\\ud800"}', b"[" * 99_999]


@pytest.mark.parametrize("sent", NO_OBJECTS)
def test_what_is_no_object_is_refused(probe: Flask, sent: bytes) -> None:
    answer = probe.test_client().post(
        "/api/v1/probe", data=sent, content_type="application/json"
    )
    assert answer.status_code == 422
    assert "Send a JSON object with days, name (optional)" in answer.json["detail"]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3"])
def test_a_wrong_parameter_is_named(probe: Flask, limit: str) -> None:
    answer = probe.test_client().post(f"/api/v1/probe?limit={limit}", json={"days": 1})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["limit"])


def test_an_answer_that_is_not_as_documented_is_noticed(probe: Flask) -> None:
    found = watch(probe)
    probe.test_client().post("/api/v1/probe", json={"days": 1})
    assert found == []
    probe.test_client().post("/api/v1/probe", json={"days": 7})
    assert len(found) == 1 and "valid integer" in found[0]


def test_each_call_has_its_page(ada: Person, document: Document) -> None:
    index = ada.browser.get("/api/").text
    for _, call in each(document):
        assert f'href="/api/{call["operationId"]}"' in index
    page = ada.browser.get("/api/account_create_token").text
    assert "curl -X POST" in page and "scopes" in page and "array of string" in page
    for path in ("/api/pack_deploy", "/api/state_show", "/api/market_run_task"):
        assert ada.get(path) == 200
    assert ada.get("/api/nothing") == 404


def test_the_pages_lead_to_the_log_in(nobody: FlaskClient) -> None:
    assert nobody.get("/api/").headers["Location"] == "/login"
