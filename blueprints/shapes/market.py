"""Agents, versions, tasks and secrets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from appliance.shares import RIGHTS
from blueprints.shapes import Answer, Moment, Open, Problem, Query, Wish
from blueprints.shapes.admin import Volume

TaskState = Literal[
    "submitted",
    "working",
    "input-required",
    "auth-required",
    "completed",
    "failed",
    "canceled",
    "rejected",
]


Right = Annotated[str, Field(json_schema_extra={"enum": [*RIGHTS]})]


class TaskWish(Wish):
    input: Any = Field(description="Must fit the schema on the agent's card.")
    parameters: dict[str, Any] = Field(default={})
    timeout_s: float = Field(60, ge=1, le=3600, description="The whole deadline.")
    metadata: dict[str, Any] = Field(default={}, description="Labels, 16 KiB at most.")
    webhook: None = None


class TaskAgent(Answer):
    owner: str
    name: str
    version: str


class Task(Answer):
    id: str
    agent: TaskAgent
    state: TaskState
    queue_position: int | None
    input_digest: str
    output: Any
    error: Problem | None
    usage: dict[str, Any]
    attempts: list[dict[str, Any]]
    created: Moment
    started: Moment | None
    ended: Moment | None
    metadata: dict[str, Any]


class SeenTask(Task):
    caller: str = Field(description="The name of the account that gave it.")


class Tasks(Answer):
    tasks: list[SeenTask]
    next: str | None = Field(description="Give it as `after` for more.")


class TasksQuery(Query):
    agent: str = Field("", description="`OWNER/NAME` or `NAME`.")
    state: str = Field("", description="As this node, A2A or the older network says.")
    caller: str = Field("", description="The name of an account.")
    all: Literal["0", "1"] = Field("0", description="1: all that you may see.")
    after: str = Field("", description="`next` of the page before.")


class WaitQuery(Query):
    wait: str = Field(
        "0",
        pattern=r"^[0-9]{1,9}$",
        description="Seconds to wait for its end, 300 at most.",
    )


class AgentRecord(Open):
    id: str = Field(description="`OWNER/NAME`.")


class Agents(Answer):
    agents: list[AgentRecord]


class InstanceRecord(Open):
    id: str


class Version(Open):
    """A version's record: agent, version, build, image, Formfile, created."""


class AgentDetail(Open):
    id: str = Field(description="`OWNER/NAME`.")
    card: Any = Field(description="What the agent says of itself; null if nothing.")
    versions: list[Version]
    instances: list[InstanceRecord] = Field(description="Those that you may see.")


class Manifest(Open):
    build_id: str = Field(description="Hex SHA-256.", pattern="^[0-9a-f]{64}$")
    image: str = Field(description="Hex SHA-256.", pattern="^[0-9a-f]{64}$")
    formfile: dict[str, Any] = Field(default={})


class Belongings(Answer):
    agent: str
    instances: list[str]
    versions: list[str]
    names: list[str]
    secrets: list[str]
    volumes: list[Volume] | None = Field(description="null until they were measured.")


class DeleteQuery(Query):
    volumes: Literal["0", "1"] = Field("0", description="1: its volumes too.")


class Secret(Answer):
    name: str
    set: bool
    changed: Moment | None
    asked: bool = Field(
        description="Whether the newest version's Formfile asks for it."
    )


class Secrets(Answer):
    agent: str
    secrets: list[Secret]
    missing: list[str]
    waits_for_deployment: bool


class ShareWish(Wish):
    right: Right = Field(description="`manage` includes `view`, and that `call`.")


class Share(Answer):
    account: str = Field(description="Its name, or `everyone`.")
    right: str
    giver: str = Field(description="Who gave it; empty when that account is gone.")
    given: Moment


class Shares(Answer):
    agent: str
    owner: str
    rights: list[Share]
