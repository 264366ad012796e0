"""Values against the JSON Schemas of an agent's card. Pure.

A schema comes from the agent and is not trusted: references lead nowhere
outside it, and one that is no schema checks nothing. jsonschema is imported with the
first of them: it takes 3 MB of every process that knows of tasks, and few check any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

MOST = 20


def violations(schema: Any, value: Any) -> dict[str, str]:
    """JSON Pointer (RFC 6901) to what is wrong there; empty when all is well."""
    if not isinstance(schema, dict | bool):
        return {}
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        checker = _checker(json.dumps(schema))
        found = [
            (pointer(error.absolute_path), error.message[:200])
            for error, _ in zip(checker.iter_errors(value), range(MOST), strict=False)
        ]
    except (SchemaError, Unresolvable, RecursionError, ValueError):
        return {}  # the agent's fault, not the caller's
    return dict(found)


@lru_cache(maxsize=256)
def _checker(schema: str) -> Any:
    """The checker of a schema's JSON text; making one takes as long as a task."""
    import jsonschema
    from referencing import Registry

    document, registry = json.loads(schema), Registry[Any]()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document, registry=registry)


def pointer(path: Iterable[str | int]) -> str:
    """`/a/0/b`; the empty text is the whole value."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in parts)
