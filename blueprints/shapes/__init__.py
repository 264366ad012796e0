"""What API calls take and answer, as pydantic models: a module a service.

A `Wish` is taken and refuses members that it does not know; an `Answer` has exactly
the members that it lists; an `Open` one may have more, as records may.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339, in UTC."""


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Query(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class Problem(Open):
    """Why a request was refused (RFC 9457); some have further members."""

    type: str = Field(description="A stable name, `/problems/NAME`.")
    title: str
    status: int
    detail: str = Field(description="What was wrong, where, and what to do.")
    errors: Any = Field(None, description="What is wrong, by field.")


class Ended(Answer):
    """What was ended, by id; of several how many."""

    ended: str | int


class Alive(Answer):
    status: str
