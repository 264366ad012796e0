"""Input schemas come from agents and are not trusted."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.market.schemas import pointer, violations


def test_pointer_escapes() -> None:
    assert pointer(["a/b", 0, "c~"]) == "/a~1b/0/c~0"


def test_the_whole_value_has_the_empty_pointer() -> None:
    assert list(violations({"type": "object"}, [])) == [""]


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": 7},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "#"},
        {"pattern": "("},
    ],
)
def test_a_schema_that_is_none_checks_nothing(schema: Any) -> None:
    assert violations(schema, "x") == {}
