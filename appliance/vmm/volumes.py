"""Volumes: disks that outlive their instances; only people remove them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from appliance import operations, state
from appliance.config import Settings
from appliance.problems import Conflict, NotFound


@dataclass(frozen=True)
class Volume:
    """`size` was promised, `bytes` are taken; `users` are in words."""

    owner: str
    agent: str
    name: str
    size: int
    bytes: int
    used: float
    users: tuple[str, ...]
    path: Path

    @property
    def mount(self) -> str:
        """Where the agent sees it."""
        return "/" + self.name.replace("=", "/")


def volume_file(config: Settings, owner: str, agent: str, mount: str) -> Path:
    """Named by its mount point, `/` written as `=`."""
    name = mount.strip("/").replace("/", "=")
    return config.instances_dir / "volumes" / owner / agent / f"{name}.raw"


def volumes(config: Settings) -> list[Volume]:
    found = []
    for path in sorted((config.instances_dir / "volumes").glob("*/*/*.raw")):
        owner, agent = path.parts[-3:-1]
        try:
            about = path.stat()
        except FileNotFoundError:  # it was deleted meanwhile
            continue
        users = _users(f"{owner}/{agent}", path.stem)
        size, taken = about.st_size, about.st_blocks * 512
        found.append(
            Volume(owner, agent, path.stem, size, taken, about.st_mtime, users, path)
        )
    return found


def _users(agent: str, name: str) -> tuple[str, ...]:
    """Deployments are read first: their instance's record comes before they end."""
    deploying = [
        row.title
        for row in operations.recent(limit=1000, live=True)
        if json.loads(row.memory).get("agent") == agent
    ]
    held = [
        f"an instance of {agent} {record.body['version']}"
        for record in state.select("instance", agent=agent)
        if name in [v.strip("/").replace("/", "=") for v in record.body["volumes"]]
    ]
    return (*held, *deploying)


def find_volume(config: Settings, owner: str, agent: str, name: str) -> Volume:
    """The volume, or NotFound."""
    for volume in volumes(config):
        if (volume.owner, volume.agent, volume.name) == (owner, agent, name):
            return volume
    raise NotFound("volume-unknown", f"{owner}/{agent} has no volume {name}.")


def delete_volume(config: Settings, owner: str, agent: str, name: str) -> int:
    """Remove a volume that no instance has; returns its bytes."""
    volume = find_volume(config, owner, agent, name)
    if volume.users:
        raise Conflict(
            "volume-in-use",
            f"The volume {volume.mount} of {owner}/{agent} is needed by "
            f"{'; '.join(volume.users)}. Delete that first; the volume stays.",
        )
    volume.path.unlink()
    return volume.bytes
