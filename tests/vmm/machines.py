"""Machines with GPUs: the parts of sysfs that tell of a PCI bus, in a folder."""

from __future__ import annotations

from pathlib import Path

IDS = """# a part of pci.ids
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]
\t73bf  Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]
\t\t1002 0e3a  A board of somebody's
10de  NVIDIA Corporation
\t20f1  GA100 [A100 PCIe 40GB]
\t22ba  AD102 High Definition Audio Controller
\t2684  AD102 [GeForce RTX 4090]
1da3  Habana Labs Ltd.
\t1020  Gaudi2 AI Training Accelerator
C 03  Display controller
\t00  VGA compatible controller
"""
RTX, AUDIO = "0000:01:00.0", "0000:01:00.1"


class Machine:
    """`root` is where its /sys and /usr are."""

    def __init__(self, root: Path, ids: str | None = IDS) -> None:
        self.root = root
        self.bus = root / "sys/bus/pci/devices"
        self.bus.mkdir(parents=True)
        if ids is not None:
            names = root / "usr/share/misc/pci.ids"
            names.parent.mkdir(parents=True)
            names.write_text(ids)

    def add(
        self, address: str, ids: str, kind: str, group: int | None, driver: str = ""
    ) -> None:
        """A function; `ids` is vendor and device as in `10de:2684`."""
        folder = self.bus / address
        folder.mkdir()
        vendor, _, device = ids.partition(":")
        for name, text in (("vendor", vendor), ("device", device), ("class", kind)):
            (folder / name).write_text(f"0x{text}\n")
        if group is not None:
            (folder / "iommu_group").symlink_to(f"../../kernel/iommu_groups/{group}")
        if driver:
            (folder / "driver").symlink_to(f"../../bus/pci/drivers/{driver}")

    def add_rtx(self, group: int | None = 1) -> None:
        """A card whose group holds its audio function and the port it hangs on."""
        self.add("0000:00:01.0", "8086:a70d", "060400", group, "pcieport")
        self.add(RTX, "10de:2684", "030000", group, "nouveau")
        self.add(AUDIO, "10de:22ba", "040300", group, "snd_hda_intel")

    def add_disk(self, address: str, group: int) -> None:
        self.add(address, "144d:a80a", "010802", group, "nvme")
