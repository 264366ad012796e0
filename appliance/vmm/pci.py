"""This node's PCI bus, as sysfs tells it, and which of its GPUs are whose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from appliance import identity, state
from appliance.config import settings
from appliance.problems import Unavailable
from appliance.vmm import pciids
from appliance.vmm.gpus import Device, Gpu, Wish, cards, choose, missing

ROOT = Path("/")
DEVICES = "sys/bus/pci/devices"
NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids")


def devices(root: Path | None = None) -> list[Device]:
    """All functions on the bus, with their names; one that goes meanwhile is left
    out."""
    root = root or ROOT
    try:
        folders = sorted((root / DEVICES).iterdir())
    except OSError:  # a machine without a PCI bus
        return []
    found = [d for d in map(_read, folders) if d is not None]
    names = _names(root, frozenset((d.vendor, d.device) for d in found))
    return [_named(device, names) for device in found]


def _read(folder: Path) -> Device | None:
    try:
        vendor, device, kind = (
            int((folder / name).read_text(), 16)
            for name in ("vendor", "device", "class")
        )
    except (OSError, ValueError):
        return None
    group = _link(folder / "iommu_group")
    return Device(
        folder.name,
        vendor,
        device,
        kind,
        _link(folder / "driver"),
        int(group) if group.isdecimal() else None,
        _is_screen(folder),
    )


def _link(path: Path) -> str:
    """The last part of where a link leads; empty where there is none."""
    try:
        return path.readlink().name
    except OSError:
        return ""


def _is_screen(folder: Path) -> bool:
    try:
        return (folder / "boot_vga").read_text().strip() == "1"
    except (OSError, ValueError):
        return False


def _named(device: Device, names: dict[pciids.Ids, tuple[str, str]]) -> Device:
    from dataclasses import replace

    maker, model = names.get((device.vendor, device.device), ("", ""))
    return replace(device, maker=maker, model=model)


def _names(
    root: Path, wanted: frozenset[pciids.Ids]
) -> dict[pciids.Ids, tuple[str, str]]:
    for name in NAMES:
        try:
            return _read_names(root / name, (root / name).stat().st_mtime_ns, wanted)
        except OSError:
            continue
    return {}


@lru_cache(maxsize=2)
def _read_names(
    path: Path, changed: int, wanted: frozenset[pciids.Ids]
) -> dict[pciids.Ids, tuple[str, str]]:
    return pciids.named(path.read_text(errors="replace"), wanted)


def held() -> dict[str, state.Record]:
    """This node's instances by the addresses that they hold."""
    node = identity.node_id(settings())
    return {
        address: record
        for record in state.select("instance")
        if record.body.get("node") == node
        for gpu in record.body.get("gpus", ())
        for address in (gpu["address"], *gpu["along"])
    }


def gpus() -> list[dict[str, Any]]:
    """This node's GPUs with their holders, as JSON members."""
    found = cards(devices())
    holders = held() if found else {}
    return [_document(gpu, holders) for gpu in found]


def _document(gpu: Gpu, holders: dict[str, state.Record]) -> dict[str, Any]:
    record = next((holders[a] for a in gpu.addresses if a in holders), None)
    found = "in use" if record else "not usable" if gpu.hindrance else "free"
    body = record.body if record else {}
    return {
        **member(gpu),
        "driver": gpu.device.driver,
        "iommu_group": gpu.device.group,
        "state": found,
        "reason": "" if record else gpu.hindrance,
        "instance": record.id if record else None,
        "agent": body.get("agent"),
        "owner_name": body.get("owner_name"),
    }


def member(gpu: Gpu) -> dict[str, Any]:
    """A GPU as an instance's record has it."""
    return {
        "address": gpu.device.address,
        "name": gpu.device.name,
        "along": list(gpu.along),
    }


def choose_gpus(wishes: Sequence[tuple[str, int]], agent: str) -> list[dict[str, Any]]:
    """GPUs for a new instance of an agent, as members of its record; what its other
    instances hold may be handed on. Raises a sentence that says what is missing."""
    asked = [Wish(model, count) for model, count in wishes]
    if not asked:
        return []
    found, holders = cards(devices()), held()
    others = {a: r.body["agent"] for a, r in holders.items()}
    own = [address for address, name in others.items() if name == agent]
    foreign = {a: name for a, name in others.items() if name != agent}
    chosen = choose(asked, found, foreign, own)
    if not chosen:
        raise Unavailable("no-gpu", missing(asked, found, foreign), retry_after=60)
    return [member(gpu) for gpu in chosen]
