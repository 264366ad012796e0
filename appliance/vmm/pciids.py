"""Names of PCI devices, from the text of pci.ids. Pure. https://pci-ids.ucw.cz"""

from __future__ import annotations

import re
from collections.abc import Collection

ENTRY = re.compile(r"(\t?)([0-9a-fA-F]{4})\s+(\S.*)")
MAKER = re.compile(r"[\s,]+(Corporation|Corp|Inc|Incorporated|Ltd|Limited|Co|LLC)\b")
Ids = tuple[int, int]


def named(text: str, wanted: Collection[Ids]) -> dict[Ids, tuple[str, str]]:
    """Vendor's and device's name by their ids; empty where the text has none. Lines
    that it does not understand are passed over."""
    found = dict.fromkeys(wanted, ("", ""))
    vendor, maker = -1, ""
    for line in text.split("\n"):
        if line.startswith("C "):  # classes of devices come last
            break
        entry = ENTRY.fullmatch(line.rstrip())
        if entry is None:
            continue
        number, name = int(entry[2], 16), entry[3]
        if not entry[1]:
            vendor, maker = number, short(name)
            found |= {ids: (maker, "") for ids in found if ids[0] == vendor}
        elif (vendor, number) in found:
            found[vendor, number] = maker, name
    return found


def short(vendor: str) -> str:
    """What people call a vendor: `NVIDIA`, `AMD`, `Intel`."""
    bracket = re.search(r"\[([^\]/]+)", vendor)
    return bracket[1].strip() if bracket else MAKER.split(vendor)[0].strip()
