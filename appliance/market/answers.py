"""What counts of an agent's answer, and what is said when it is none. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from appliance.plain import harmless
from appliance.problems import Problem

INNER_BYTES = 64 * 1024
TAKES_NO_TASKS = (404, 405, 501)


def parsed(text: bytes | str) -> Any:
    """JSON that can be written again; raises agent-nonsense."""
    try:
        value = json.loads(text, parse_constant=no_number)
        json.dumps(value)
    except (ValueError, RecursionError):
        raise nonsense("it is not JSON") from None
    return value


def no_number(text: str) -> Any:
    """NaN and the infinities are not JSON (RFC 8259)."""
    raise ValueError(text)


def whole(status: int, raw: bytes) -> tuple[Any, Mapping[str, Any]]:
    """Output and reported usage of an answer in one piece; raises Problem."""
    if status in TAKES_NO_TASKS:
        raise Problem(
            "agent-error",
            f"The agent takes no tasks: its POST /run_task answers {status}. It is "
            "reached by its name and port alone.",
            status=502,
        )
    if status >= 400:
        raise agent_error(f"The agent answered {status}", _document(raw))
    if not 200 <= status < 300:
        raise nonsense(f"{status} instead of 200; redirects are not followed")
    return result(parsed(raw))


def _document(raw: bytes) -> Any:
    try:
        return parsed(raw) if len(raw) <= INNER_BYTES else None
    except Problem:
        return None


def result(document: Any) -> tuple[Any, Mapping[str, Any]]:
    """Output and reported usage; raises agent-nonsense."""
    if not isinstance(document, dict) or "output" not in document:
        raise nonsense("it is not a JSON object with an output")
    usage = document.get("usage")
    return document["output"], usage if isinstance(usage, dict) else {}


def agent_error(what: str, document: Any) -> Problem:
    """The agent's own problem is inside, as member `agent`."""
    inner = document if isinstance(document, dict) else {}
    why = inner.get("detail") or inner.get("title") or "it gave no reason"
    text = f"{what}: {harmless(str(why))[:500]}"
    return Problem("agent-error", text, status=502, agent=document)


def nonsense(why: str) -> Problem:
    text = f"The agent's answer is rubbish: {why}."
    return Problem("agent-nonsense", text, status=502)
