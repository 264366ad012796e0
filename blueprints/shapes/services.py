"""Services, processes and engines."""

from __future__ import annotations

from pydantic import Field

from appliance.service import State
from blueprints.shapes import Answer, Wish


class ServiceEntry(Answer):
    name: str
    title: str
    summary: str
    segment: str = Field(description="Of its addresses.")
    process: str
    version: str
    tags: list[str]
    depends: list[str]
    address: str = Field(description="Where its API is.")
    state: State
    reason: str = Field(description="Empty when all is well.")
    since: float = Field(description="Seconds since the epoch.")
    enabled: bool = Field(description="Whether it starts with the node.")
    should_run: bool = Field(description="Whether it is to run now.")


class Registry(Answer):
    services: list[ServiceEntry]


class CheckEntry(Answer):
    title: str
    ok: bool
    text: str
    cure: str
    warning: bool
    pending: bool


class HealthEntry(Answer):
    time: float
    state: str
    reason: str


class WholeService(ServiceEntry):
    needed_by: list[str]
    checks: list[CheckEntry]
    history: list[HealthEntry] = Field(description="Changes of state, newest first.")


class Connection(Answer):
    id: str = Field(description="By which it is closed.")
    pid: int
    descriptor: int = Field(description="In that process.")
    kind: str = Field(description="tcp, udp or unix")
    local: str
    remote: str
    state: str


class LimitsWish(Wish):
    """0 is no limit."""

    cpu_percent: int = Field(0, ge=0, description="Of one core: 150 is one and a half.")
    memory_mib: int = Field(0, ge=0)
    files: int = Field(0, ge=0, description="Open at once in each of its processes.")
    tasks: int = Field(0, ge=0, description="Threads of all its processes.")


class LimitsEntry(Answer):
    """0 is no limit."""

    cpu_percent: int
    memory_mib: int
    files: int
    tasks: int


class ProcessEntry(Answer):
    name: str
    title: str
    user: str
    without: str = Field(description="What is missing while it does not run.")
    may_stop: bool
    may_reload: bool
    may_limit: bool
    enabled: bool = Field(description="Whether it starts with the node.")
    limits: LimitsEntry
    state: str
    pid: int = Field(description="0 where none runs.")
    since: float
    said: str = Field(description="By what keeps it.")
    cpu_s: float = Field(description="Seconds of CPU that it used.")
    memory: int = Field(description="Resident bytes, with its children's.")
    tasks: int
    files: int
    connections: list[Connection]


class Processes(Answer):
    looked: float
    keeper: str = Field(description="supervisord or systemd")
    holds: list[str] = Field(description="Limits that this machine's kernel can hold.")
    processes: list[ProcessEntry]


class Target(Answer):
    targets: list[str]
    labels: dict[str, str]
