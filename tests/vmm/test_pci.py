"""The PCI bus of made-up machines: what is found on it, and its names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.vmm import pci, pciids
from appliance.vmm.gpus import Gpu, cards
from tests.vmm.machines import AUDIO, IDS, RTX, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def found(machine: Machine) -> tuple[Gpu, ...]:
    return cards(pci.devices(machine.root))


def test_a_machine_without_a_bus_has_none(tmp_path: Path) -> None:
    assert pci.devices(tmp_path) == []


def test_what_is_no_gpu_is_none(machine: Machine) -> None:
    machine.add_disk("0000:02:00.0", 2)
    assert [d.driver for d in pci.devices(machine.root)] == ["nvme"]
    assert found(machine) == ()


def test_a_card_takes_its_audio_along_and_leaves_the_bridge(machine: Machine) -> None:
    machine.add_rtx()
    machine.add_disk("0000:02:00.0", 2)
    (gpu,) = found(machine)
    assert gpu.device.name == "NVIDIA AD102 [GeForce RTX 4090]"
    assert (gpu.device.driver, gpu.device.group) == ("nouveau", 1)
    assert gpu.addresses == (RTX, AUDIO)
    assert gpu.hindrance == ""


def test_two_cards_and_an_accelerator_are_told_apart(machine: Machine) -> None:
    machine.add("0000:03:00.0", "1002:744c", "030000", 3)
    machine.add("0000:04:00.0", "1002:73bf", "038000", 4)
    machine.add("0000:05:00.0", "1da3:1020", "120000", 5)
    (machine.bus / "0000:04:00.0/boot_vga").write_text("1\n")
    assert [(g.device.name, g.device.screen) for g in found(machine)] == [
        ("AMD Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]", False),
        ("AMD Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", True),
        ("Habana Labs Gaudi2 AI Training Accelerator", False),
    ]


def test_a_card_with_two_display_functions_is_one(machine: Machine) -> None:
    machine.add("0000:03:00.0", "1002:744c", "030000", 3)
    machine.add("0000:03:00.1", "1002:744d", "038000", 3)
    (gpu,) = found(machine)
    assert gpu.addresses == ("0000:03:00.0", "0000:03:00.1")


def test_without_an_iommu_a_card_cannot_be_given(machine: Machine) -> None:
    machine.add_rtx(group=None)
    (gpu,) = found(machine)
    assert "IOMMU is off" in gpu.hindrance


def test_a_group_with_the_machines_disk_stays(machine: Machine) -> None:
    machine.add_rtx()
    machine.add_disk("0000:02:00.0", 1)
    (gpu,) = found(machine)
    assert "shares IOMMU group 1 with 0000:02:00.0" in gpu.hindrance
    assert "driver nvme" in gpu.hindrance


def test_what_the_node_does_not_use_goes_along(machine: Machine) -> None:
    machine.add_rtx()
    machine.add("0000:02:00.0", "8086:10d3", "020000", 1)
    (gpu,) = found(machine)
    assert gpu.addresses == (RTX, AUDIO, "0000:02:00.0")


def test_two_cards_in_one_group_cannot_be_parted(machine: Machine) -> None:
    machine.add("0000:03:00.0", "1002:744c", "030000", 3)
    machine.add("0000:04:00.0", "1002:73bf", "030000", 3)
    assert all("IOMMU group 3" in gpu.hindrance for gpu in found(machine))


@pytest.mark.parametrize("ids", [None, "", "10de  NVIDIA Corporation\n"])
def test_a_card_without_a_name_is_shown_by_its_number(
    tmp_path: Path, ids: str | None
) -> None:
    machine = Machine(tmp_path, ids)
    machine.add_rtx()
    (gpu,) = found(machine)
    assert gpu.device.name.endswith("device 10de:2684")
    assert gpu.device.name.startswith("NVIDIA") == bool(ids)


def test_newer_names_are_read(machine: Machine) -> None:
    machine.add("0000:03:00.0", "10de:2b85", "030000", 3)
    names = machine.root / "usr/share/misc/pci.ids"
    before = found(machine)[0].device.name
    names.write_text("10de  NVIDIA Corporation\n\t2b85  GB202 [GeForce RTX 5090]\n")
    os.utime(names, ns=(1, 1))
    assert before == "NVIDIA device 10de:2b85"
    assert found(machine)[0].device.name == "NVIDIA GB202 [GeForce RTX 5090]"


def test_a_device_that_is_pulled_meanwhile_is_left_out(machine: Machine) -> None:
    machine.add_rtx()
    (machine.bus / RTX / "class").unlink()
    (machine.bus / AUDIO / "vendor").write_text("nonsense")
    assert [d.address for d in pci.devices(machine.root)] == ["0000:00:01.0"]


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("NVIDIA Corporation", "NVIDIA"),
        ("Advanced Micro Devices, Inc. [AMD/ATI]", "AMD"),
        ("Habana Labs Ltd.", "Habana Labs"),
        ("Red Hat, Inc.", "Red Hat"),
        ("Cerebras", "Cerebras"),
        ("Compaq Computer", "Compaq Computer"),
    ],
)
def test_a_vendor_is_called_as_people_do(vendor: str, name: str) -> None:
    assert pciids.short(vendor) == name


IDS_OF_RTX = (0x10DE, 0x2684)
LINES = st.one_of(
    st.text(), st.sampled_from(IDS.split("\n")), st.from_regex(pciids.ENTRY)
)


@given(st.lists(LINES).map("\n".join))
def test_any_text_names_what_is_asked_for_and_nothing_else(text: str) -> None:
    found = pciids.named(text, [IDS_OF_RTX])
    assert set(found) == {IDS_OF_RTX}


@given(st.lists(st.text(alphabet="xyz \t#", max_size=9)), st.integers(0, 12))
def test_lines_that_are_not_understood_change_nothing(
    odd: list[str], place: int
) -> None:
    lines = IDS.split("\n")
    text = "\n".join([*lines[:place], *odd, *lines[place:]])
    assert pciids.named(text, [IDS_OF_RTX]) == {
        IDS_OF_RTX: ("NVIDIA", "AD102 [GeForce RTX 4090]")
    }


def test_a_class_is_not_taken_for_a_device() -> None:
    text = "10de  NVIDIA Corporation\nC 03  Display\n\t2684  not a device\n"
    assert pciids.named(text, [IDS_OF_RTX]) == {IDS_OF_RTX: ("NVIDIA", "")}
