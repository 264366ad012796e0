"""An input to begin with, from the schema on an agent's card. Pure."""

from __future__ import annotations

from typing import Any

DEEPEST = 4
PLAIN: dict[str, Any] = {
    "string": "hi",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "null": None,
}


def example(schema: Any, depth: int = 0) -> Any:
    """A small value that a person can change; it need not satisfy all of it."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return {"text": "hi"} if depth == 0 else None
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    kind = schema.get("type")
    if kind == "array":
        return [example(schema.get("items"), depth + 1)]
    if kind == "object" or "properties" in schema:
        return _object(schema, depth)
    if isinstance(kind, str) and kind in PLAIN:
        return PLAIN[kind]
    return None if depth else {"text": "hi"}


def _object(schema: dict[str, Any], depth: int) -> dict[str, Any]:
    """The members that are required, else all."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    wanted = required if isinstance(required, list) else []
    names = [name for name in known if name in wanted] or list(known)
    return {name: example(known[name], depth + 1) for name in names}
