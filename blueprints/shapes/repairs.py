"""What is wrong with the node, and its support bundle."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from blueprints.shapes import Answer, Moment, Wish


class Ignored(Answer):
    by: str
    why: str
    since: Moment


class Repair(Answer):
    id: str = Field(description="Its check, and its subject where it has one.")
    check: str
    subject: str
    severity: Literal["critical", "warning", "info"]
    title: str
    text: str = Field(description="What is wrong, and where.")
    cure: str = Field(description="What to do.")
    fix: str | None = Field(description="What the node can do; null where nothing.")
    loses: str = Field(description="What the fix loses; empty where nothing.")
    link: str | None = Field(description="A page of this node that helps.")
    since: Moment
    ignored: Ignored | None


class Check(Answer):
    name: str
    title: str
    looked: Moment
    trouble: str = Field(description="Why it could not look; empty where it could.")


class Repairs(Answer):
    repairs: list[Repair]
    checks: list[Check] = Field(description="When each looked last.")


class FixWish(Wish):
    confirm: bool = Field(False, description="Needed where the fix loses something.")


class IgnoreWish(Wish):
    why: str = ""


class Bundle(Answer):
    id: str = Field(description="That of the operation that made it.")
    made: Moment
    bytes: int


class Bundles(Answer):
    bundles: list[Bundle]
