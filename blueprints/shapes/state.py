"""Records, and whether they are genuine."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from appliance.state.inspection import Seen, Verdict
from appliance.state.walk import Reference
from blueprints.shapes import Answer, Moment, Query


class Stamp(Answer):
    incarnation: str
    seq: int
    hlc: str = Field(description="A decimal number beyond 2^53.")


class Overview(Answer):
    node: str | None
    own: Stamp | None
    counts: dict[str, int]
    deleted: int
    size_bytes: int
    integrity: str
    vector: list[Seen]


class Header(Stamp):
    author: str
    time: Moment


class Record(Header):
    kind: str
    id: str
    body: dict[str, Any]
    signature: str
    deleted: bool


class WholeRecord(Record):
    verdict: Verdict
    headers: list[Header]
    links: list[Reference]
    linked_from: list[Reference]
    hidden: dict[str, int] = Field(description="Links that you may not follow.")


class Records(Answer):
    records: list[Record]
    next: str | None = Field(description="Give it as `after` for more.")


class RecordsQuery(Query):
    kind: str = Field("", description="A kind of record.")
    after: str = Field("", description="`next` of the page before.")


class Verification(Answer):
    records: int
    wrong_signatures: list[str]
    repeated_stamps: list[str]
    dangling_links: list[str]
    integrity: str
    is_fine: bool
