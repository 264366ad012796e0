"""Instances, GPUs, packs and what is sent to build one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from blueprints.shapes import Answer, Wish
from blueprints.shapes.market import InstanceRecord


class Instances(Answer):
    instances: list[InstanceRecord]


class Lines(Answer):
    lines: list[str]
    next: int = Field(description="Give it as `after` for what comes then.")


class Gpu(Answer):
    address: str
    name: str
    along: list[str]
    driver: str | None
    iommu_group: str | int | None
    state: Literal["free", "in use", "not usable"]
    reason: str
    instance: str | None
    agent: str | None
    owner_name: str | None


class Gpus(Answer):
    gpus: list[Gpu]


class Collect(Wish):
    everything: bool = Field(False, description="All that nothing uses.")


class Order(Wish):
    """What to deploy: an archive, the files of a folder, an example, or text alone."""

    formfile: str = Field("", description="The Formfile's text.")
    archive: bytes = Field(b"", description="A tar or zip with the Formfile in it.")
    folder: list[bytes] = Field(default=[], description="The files of a folder.")
    example: str = Field("", description="The name of an example.")
    refresh: str = Field("", description="Not empty: build all layers anew.")
    use_text: str = Field("", description="Not empty: `formfile` instead of the file.")
