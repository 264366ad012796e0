"""Long actions: steps, outcome, log."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from blueprints.shapes import Answer, Moment, Open, Problem, Query


class Step(Answer):
    name: str
    title: str
    state: str
    started: float | None
    ended: float | None
    progress: float | None = Field(description="0 to 1; null where it is not known.")
    detail: str


class Operation(Answer):
    id: str
    kind: str
    title: str
    subject: str
    state: Literal["queued", "working", "completed", "failed", "canceled"]
    steps: list[Step]
    result: dict[str, Any] | None
    error: Problem | None
    request: str = Field(description="The id of the request that asked for it.")
    created: Moment
    started: Moment | None
    ended: Moment | None


class Operations(Answer):
    operations: list[Operation]


class Line(Open):
    id: int
    time: float
    step: str
    line: str


class Log(Answer):
    lines: list[Line]


class After(Query):
    after: int | None = Field(None, ge=0, le=2**62, description="Go on after this.")
