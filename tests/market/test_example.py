"""Inputs to begin with."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.market.example import example

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
KEYS = st.sampled_from(["type", "properties", "required", "items", "enum", "default"])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (None, {"text": "hi"}),
        ({}, {"text": "hi"}),
        ({"type": "string"}, "hi"),
        ({"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}, {"a": "x"}),
        (
            {
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"],
            },
            {"a": 0},
        ),
        ({"type": "array", "items": {"type": "boolean"}}, [False]),
        ({"type": "integer", "default": 7}, 7),
    ],
)
def test_examples(schema: Any, value: Any) -> None:
    assert example(schema) == value


@given(JSON | st.dictionaries(KEYS, JSON))
def test_no_schema_breaks_it(schema: Any) -> None:
    json.dumps(example(schema))
