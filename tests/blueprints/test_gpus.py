"""The node's GPUs on pages and in the API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from appliance import identity, state
from appliance.config import Settings
from appliance.vmm import pci
from tests.blueprints.conftest import Person
from tests.vmm.machines import AUDIO, RTX, Machine

NAME = "NVIDIA AD102 [GeForce RTX 4090]"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path / "machine")
    monkeypatch.setattr(pci, "ROOT", made.root)
    return made


def give(settings: Settings, *gpus: dict[str, Any]) -> None:
    """An instance of bo's that holds GPUs."""
    names = {"agent": "bo/echo", "owner_name": "bo", "name": "echo"}
    where = {"address": "127.0.0.1", "port": 1, "node": identity.node_id(settings)}
    about = {"version": "0.1.0", "state": "healthy", "reason": "", "image": "a" * 64}
    size = {"vcpu": 1, "memory_mib": 512, "disk_gib": 2, "volumes": []}
    wish = {"desired": "running", "deployment": "i1", "gpus": list(gpus)}
    state.put("instance", "i1", {**names, **where, **about, **size, **wish})


HELD = {"address": RTX, "name": NAME, "along": [AUDIO]}


def listed(person: Person) -> list[dict[str, Any]]:
    found = person.browser.get("/api/v1/vmm/gpus").get_json()["gpus"]
    assert isinstance(found, list)
    return found


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_node_without_gpus_says_nothing_of_them(
    ada: Person, machine: Machine
) -> None:
    assert listed(ada) == []
    assert 'id="gpus"' not in ada.browser.get("/").text
    parts = ada.browser.get("/live/parts?view=dashboard").get_json()["fragments"]
    assert "gpus" not in parts


def test_a_free_gpu_is_listed(ada: Person, machine: Machine) -> None:
    machine.add_rtx()
    assert listed(ada) == [
        {
            **HELD,
            "driver": "nouveau",
            "iommu_group": 1,
            "state": "free",
            "reason": "",
            "instance": None,
            "agent": None,
            "owner_name": None,
        }
    ]
    assert f"{NAME} free {RTX}" in words(ada.browser.get("/").text)


def test_who_holds_a_gpu_is_told_to_those_who_may_see_it(
    ada: Person, bo: Person, cy: Person, machine: Machine, settings: Settings
) -> None:
    machine.add_rtx()
    give(settings, HELD)
    for person, agent in ((ada, "bo/echo"), (bo, "bo/echo"), (cy, None)):
        (gpu,) = listed(person)
        assert (gpu["state"], gpu["agent"]) == ("in use", agent)
        page = person.browser.get("/").text
        assert ('<a href="/vmm/i1">bo/echo</a>' in page) == bool(agent)
        assert ("bo" in str(gpu)) == bool(agent)


def test_why_a_gpu_cannot_be_used_is_shown(ada: Person, machine: Machine) -> None:
    machine.add_rtx(group=None)
    assert listed(ada)[0]["reason"] == "the machine's IOMMU is off"
    parts = ada.browser.get("/live/parts?view=dashboard").get_json()["fragments"]
    assert "not usable: the machine&#39;s IOMMU is off" in parts["gpus"]


def test_an_instances_page_has_its_gpus(
    bo: Person, machine: Machine, settings: Settings
) -> None:
    give(settings, HELD)
    assert f"GPU {NAME} {RTX}" in words(bo.browser.get("/vmm/i1").text)
    give(settings)
    assert "GPU" not in bo.browser.get("/vmm/i1").text


def test_an_instance_from_before_gpus_were_given_has_its_page(
    bo: Person, settings: Settings
) -> None:
    give(settings)
    found = state.find("instance", "i1")
    assert found is not None
    body = {k: v for k, v in found.body.items() if k != "gpus"}
    state.put("instance", "i1", body)
    assert bo.get("/vmm/i1") == 200


def test_strangers_are_not_told(ada: Person, machine: Machine) -> None:
    assert ada.app.test_client().get("/api/v1/vmm/gpus").status_code == 401
