"""Which images something needs, and in words what."""

from __future__ import annotations

import json
from collections.abc import Iterable

from appliance import operations, state, vmm
from appliance.config import Settings
from appliance.pack.store import Item

OWN = ("collect", "image-delete")


def needed(settings: Settings, images: Iterable[Item]) -> dict[str, list[str]]:
    """Who needs each image, by digest; an image that nobody needs is not there.

    Operations are read first: what one of them took is in its memory until a
    record has it. One that did not get as far yet may take any image, which then
    is newer than the operation.
    """
    live = [o for o in operations.recent(limit=1000, live=True) if o.kind not in OWN]
    at_work = {o.id: json.loads(o.memory).get("image") for o in live}
    found = _of_records()
    for digest in vmm.backing_images(settings).values():
        found.setdefault(digest, [])  # even where the instance's record was lost
    for operation in live:
        digest = at_work[operation.id]
        if digest is not None:
            found.setdefault(digest, []).append(operation.title)
    starts = [o.created for o in live if at_work[o.id] is None]
    for image in images:
        if starts and image.used >= min(starts):
            found.setdefault(image.key, []).append("a deployment at work")
    return found


def _of_records() -> dict[str, list[str]]:
    agents = {record.id: record.body for record in state.select("agent")}
    found: dict[str, list[str]] = {}
    for record in state.select("instance"):
        body = record.body
        text = f"an instance of {body['agent']} {body['version']}"
        found.setdefault(body["image"], []).append(text)
    for record in state.select("version"):
        body = record.body
        if agents.get(body["agent"], {}).get("latest") == body["version"]:
            text = f"{body['agent']}'s latest version"
            found.setdefault(body["image"], []).append(text)
    return found


def titles() -> dict[str, str]:
    """Which versions each image is of, by digest."""
    found: dict[str, list[str]] = {}
    for record in state.select("version"):
        name = f"{record.body['agent']} {record.body['version']}"
        found.setdefault(record.body["image"], []).append(name)
    return {digest: ", ".join(names) for digest, names in found.items()}
