"""Logs of processes and engines."""

from __future__ import annotations

from pydantic import Field, field_validator

from appliance.admin.log_lines import Level, moment
from blueprints.shapes import Answer, Moment, Query


class LogQuery(Query):
    """What is asked of the logs."""

    process: str = Field("", max_length=64, description="Of one process or engine.")
    level: Level = Field("debug", description="The least severe that is wanted.")
    text: str = Field("", max_length=200, description="Found anywhere in an entry.")
    request: str = Field("", max_length=64, description="The id of a request.")
    since: str = Field("", description="RFC 3339, or how long ago: 10m, 2h, 3d.")
    until: str = Field("", description="RFC 3339, or how long ago.")
    before: str = Field("", max_length=120, description="`next` of the page before.")
    limit: int = Field(200, ge=1, le=2000)

    @field_validator("since", "until")
    @classmethod
    def a_moment(cls, value: str) -> str:
        if value:
            moment(value)
        return value


class LogLine(Answer):
    time: Moment
    process: str
    level: Level
    text: str
    request: str


class Logs(Answer):
    """The oldest first; `next` asks for what came before them."""

    processes: list[str]
    lines: list[LogLine]
    next: str | None
