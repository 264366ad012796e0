"""The operations of administration: services, settings, and disk space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance import pack, vmm
from appliance.admin import erasure, settings_change, storage
from appliance.admin.alerts import delivery
from appliance.admin.connections import CLOSE
from appliance.admin.control import CONTROL
from appliance.admin.limiting import LIMIT
from appliance.admin.machine import changing
from appliance.admin.processes import PROCESS
from appliance.admin.repairs import mending
from appliance.admin.support import shelf
from appliance.config import settings
from appliance.operations import Kind, Run, Step


def collect(run: Run) -> None:
    everything = bool(run.params.get("everything"))
    bound = settings().pack.cache_gib
    goal = "all that nothing uses goes" if everything else f"down to {bound} GiB"
    run.log(f"images and layers: {goal}")
    _freed(run, pack.collect(settings(), everything, run.log))


def delete_image(run: Run) -> None:
    _freed(run, pack.delete_image(settings(), run.subject))


def delete_volume(run: Run) -> None:
    _freed(run, vmm.delete_volume(settings(), *run.subject.split("/")))


def volume_owner(subject: str, params: Mapping[str, Any]) -> str:
    return subject.rpartition("/")[0]


def _freed(run: Run, size: int) -> None:
    run.log(f"{size / 1e6:.1f} MB were freed")
    run.memory["result"] = {"freed_bytes": size}


def measure(run: Run) -> None:
    storage.refresh(settings())


MEASURE = Step("measure", "Measure", measure)
KINDS = (
    CONTROL,
    PROCESS,
    LIMIT,
    CLOSE,
    Kind("collect", (Step("collect", "Collect", collect), MEASURE), "operator"),
    Kind("image-delete", (Step("delete", "Delete", delete_image), MEASURE), "operator"),
    Kind(
        "volume-delete",
        (Step("delete", "Delete", delete_volume), MEASURE),
        owner=volume_owner,
    ),
    settings_change.KIND,
    erasure.ERASE,
    *delivery.KINDS,
    *mending.KINDS,
    shelf.KIND,
    changing.KIND,
)
