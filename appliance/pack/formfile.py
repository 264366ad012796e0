"""The Formfile as data: what the parser yields and everything else reads.

Field names follow the language's directives; sizes are in the units that the
directives take (MiB of memory, GiB of disk). See docs/formfile.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Diagnostic:
    """One finding about a Formfile; `line` and `column` count from 1."""

    line: int
    column: int
    level: Literal["error", "warning"]
    directive: str
    rule: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class GuestUser:
    """A login of the guest. `passwd_hash` is crypt(5) text, never clear."""

    username: str
    passwd_hash: str | None = None
    ssh_authorized_keys: tuple[str, ...] = ()
    sudo: bool = False
    lock_passwd: bool = False
    ssh_pwauth: bool = False
    disable_root: bool = False
    chpasswd_expire: bool = False
    shell: str = "/bin/bash"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvVar:
    """`scope` is `system`, `user:NAME` or `service:NAME`."""

    key: str
    value: str
    scope: str = "system"


@dataclass(frozen=True)
class Install:
    packages: tuple[str, ...]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Copy:
    """`source` is relative to the context; `target` is absolute in the image
    and keeps its trailing slash, which says that it is a directory."""

    source: str
    target: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Run:
    command: str
    line: int = field(default=0, compare=False)


Step = Install | Copy | Run


@dataclass(frozen=True)
class Port:
    number: int
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True)
class VanityDomain:
    """`HOST[/PATH][=PORT][@AUDIENCE]`; `port` is the first EXPOSEd TCP port by
    default, which the parser fills in."""

    host: str
    path: str = "/"
    port: int | None = None
    audience: Literal["public", "federation", "accounts"] = "public"


@dataclass(frozen=True)
class Gpu:
    model: str
    count: int = 1


@dataclass(frozen=True)
class Price:
    per: Literal["call", "1k-in", "1k-out", "minute"]
    credits: float


@dataclass(frozen=True)
class Model:
    id: str
    required: bool


@dataclass(frozen=True)
class Formfile:
    """One parsed Formfile, defaults filled in.

    `steps` keeps INSTALL, COPY and RUN in file order. `entrypoint` is the
    argv to execute; a shell line is already `("/bin/sh", "-c", line)`.
    """

    name: str
    version: str | None = None
    description: str = ""
    model: Model | None = None
    tags: tuple[str, ...] = ()
    category: str = "other"
    prices: tuple[Price, ...] = ()
    license: str | None = None
    domains: tuple[VanityDomain, ...] = ()
    base: str = "debian:13"
    vcpu: int = 1
    memory_mib: int = 512
    disk_gib: int = 5
    gpus: tuple[Gpu, ...] = ()
    users: tuple[GuestUser, ...] = ()
    env: tuple[EnvVar, ...] = ()
    workdir: str = "/"
    steps: tuple[Step, ...] = ()
    volumes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    runas: str = "root"
    expose: tuple[Port, ...] = (Port(8000),)
    healthcheck: str = "/health"
    entrypoint: tuple[str, ...] = ()

    @property
    def agent_port(self) -> int:
        """Where the agent answers tasks: the first EXPOSEd TCP port."""
        return next(port.number for port in self.expose if port.protocol == "tcp")
