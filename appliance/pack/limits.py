"""What a build may use, and what is said when it uses more."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.problems import Problem


class BuildError(Problem):
    """A build that cannot succeed; the sentence names the step and the cure."""

    def __init__(self, detail: str) -> None:
        super().__init__("build-failed", detail, status=422, title="Build failed")


@dataclass(frozen=True)
class BuildLimits:
    """`seconds` are for the whole build, `disk_mib` and the like for each of its
    steps; `keep_free_mib` of the disk are not the build's."""

    seconds: float = 1800
    memory_mib: int = 2048
    processes: int = 512
    disk_mib: int = 8192
    keep_free_mib: int = 256
