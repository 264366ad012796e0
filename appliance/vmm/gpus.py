"""GPUs that guests are given whole: which there are, and who gets which. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

BRIDGE, DISPLAY, ACCELERATOR = 0x06, 0x03, 0x1200
STORAGE, NETWORK = 0x01, 0x02
UNUSED = ("", "vfio-pci", "pci-stub")  # drivers by which the node uses nothing
IOMMU_OFF = (
    "This machine's IOMMU is off, so no card can be given to a guest: switch on VT-d "
    "(Intel) or AMD-Vi (AMD) in its firmware; on Intel also start the kernel with "
    "intel_iommu=on."
)
UNNAMED = "Names come from pci.ids: update-pciids brings newer ones."


@dataclass(frozen=True)
class Device:
    """One function on the PCI bus; `kind` is its class code, 24 bits wide. `screen`
    says that the firmware chose it for the machine's own console."""

    address: str
    vendor: int
    device: int
    kind: int
    driver: str = ""
    group: int | None = None
    screen: bool = False
    maker: str = ""
    model: str = ""

    @property
    def is_gpu(self) -> bool:
        return self.kind >> 16 == DISPLAY or self.kind >> 8 == ACCELERATOR

    @property
    def slot(self) -> str:
        return self.address.rpartition(".")[0]

    @property
    def name(self) -> str:
        model = self.model or f"device {self.vendor:04x}:{self.device:04x}"
        return f"{self.maker} {model}".strip()


@dataclass(frozen=True)
class Gpu:
    """A card: its first GPU, the addresses that must go with it, and what hinders
    giving it away; empty when nothing does."""

    device: Device
    along: tuple[str, ...] = ()
    hindrance: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.device.address, *self.along)


@dataclass(frozen=True)
class Wish:
    """`GPU MODEL:COUNT` of a Formfile."""

    model: str
    count: int = 1


def cards(devices: Sequence[Device]) -> tuple[Gpu, ...]:
    """The GPUs among all devices of a machine, by address."""
    found: dict[tuple[str, int | None], Gpu] = {}
    for device in sorted(devices, key=lambda d: d.address):
        if device.is_gpu and (device.slot, device.group) not in found:
            found[device.slot, device.group] = _card(device, devices)
    return tuple(found.values())


def _card(gpu: Device, devices: Sequence[Device]) -> Gpu:
    """An IOMMU group is given as a whole, but for its bridges."""
    if gpu.group is None:
        return Gpu(gpu, hindrance="the machine's IOMMU is off")
    others = [
        d
        for d in sorted(devices, key=lambda d: d.address)
        if d.group == gpu.group and d.address != gpu.address
        if d.kind >> 16 != BRIDGE
    ]
    for other in others:
        if not _goes_along(other, gpu):
            return Gpu(gpu, hindrance=_why_not(other))
    return Gpu(gpu, tuple(other.address for other in others))


def _why_not(other: Device) -> str:
    driver = f", driver {other.driver}" if other.driver else ""
    return (
        f"it shares IOMMU group {other.group} with {other.address} ({other.name}"
        f"{driver}), which cannot go with it: another slot, or ACS in the firmware, "
        "may part them"
    )


def _goes_along(other: Device, gpu: Device) -> bool:
    """The same card's further functions do; of others what the node does not use."""
    if other.slot == gpu.slot and other.kind >> 16 not in (STORAGE, NETWORK):
        return True
    return other.driver in UNUSED and not other.is_gpu


def titles(device: Device) -> Iterator[str]:
    """What a person may call a device: its name with and without the maker, and its
    marketing name (the last brackets) from any of its words on."""
    if not device.model:
        return
    yield device.name
    yield device.model
    brackets = re.findall(r"\[([^\[\]]+)\]", device.model)
    first, *others = (brackets[-1] if brackets else device.model).split("/")
    words = first.split()
    # "RX 7900 XT/7900 XTX" is also an RX 7900 XTX
    starts = [words[:n] for n in range(len(words))]
    for each in [words, *([*start, *o.split()] for o in others for start in starts)]:
        yield " ".join([device.maker, *each])
        yield from (" ".join(each[n:]) for n in range(len(each)))


def fit(model: str, device: Device) -> int:
    """2 when a name begins with the model's whole words, 1 when with its letters,
    else 0. Only letters and digits count, in any case: RTX4090 is RTX 4090."""
    wanted, best = _fold(model), 0
    if not wanted:
        return 0
    for title in titles(device):
        heads = list(accumulate(_fold(word) for word in title.split()))
        if wanted in heads:
            return 2
        if heads and heads[-1].startswith(wanted):
            best = 1
    return best


def _fold(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def choose(
    wishes: Sequence[Wish],
    found: Sequence[Gpu],
    held: Mapping[str, str],
    own: Sequence[str] = (),
) -> tuple[Gpu, ...]:
    """A GPU for each that is wished, or nothing where they do not suffice.

    `held` maps addresses to the agents whose instances hold them, and `own` are
    those of what is replaced: taken only where no other fits. Augmenting paths, so
    that a modest wish does not take the only GPU of a narrower one.
    """
    models = [wish.model for wish in wishes for _ in range(wish.count)]
    if len(models) > len(found):
        return ()
    free = [g for g in found if not g.hindrance and not held.keys() & {*g.addresses}]
    options = {model: _options(model, free, own) for model in models}
    given: dict[str, int] = {}  # a GPU's address to the place of its wish

    def give(place: int, tried: set[str]) -> bool:
        for gpu in options[models[place]]:
            address = gpu.device.address
            if address in tried:
                continue
            tried.add(address)
            if address not in given or give(given[address], tried):
                given[address] = place
                return True
        return False

    if not all(give(place, set()) for place in range(len(models))):
        return ()
    return tuple(g for g in free if g.device.address in given)


def _options(model: str, free: Sequence[Gpu], own: Sequence[str]) -> list[Gpu]:
    """Those that fit, the one to take first first."""

    def rank(gpu: Gpu) -> tuple[bool, int, bool, str]:
        used = bool({*own} & {*gpu.addresses})
        return used, -fit(model, gpu.device), gpu.device.screen, gpu.device.address

    return sorted((g for g in free if fit(model, g.device)), key=rank)


def missing(
    wishes: Sequence[Wish], found: Sequence[Gpu], held: Mapping[str, str]
) -> str:
    """The sentence for wishes that could not be met, and what would help."""
    if len(wishes) == 1 and wishes[0].count == 1:
        asked = f"No GPU whose name begins with {wishes[0].model} is free on this node"
    else:
        listed = ", ".join(f"{wish.model}:{wish.count}" for wish in wishes)
        asked = f"The GPUs asked for ({listed}) are not all free on this node"
    has = ": " + ", ".join(_described(gpu, held) for gpu in found) if found else " none"
    fitting = [g for g in found if any(fit(w.model, g.device) for w in wishes)]
    cures = []
    if any(gpu.device.group is None for gpu in fitting):
        cures.append(IOMMU_OFF)
    if any(not gpu.device.model for gpu in found):
        cures.append(UNNAMED)
    if any(holder(gpu, held) for gpu in fitting):
        cures.append("An instance holds its GPUs until it is deleted.")
    return " ".join([f"{asked}; it has{has}.", *cures])


def _described(gpu: Gpu, held: Mapping[str, str]) -> str:
    agent = holder(gpu, held)
    why = f"in use by {agent}" if agent else gpu.hindrance
    return f"{gpu.device.name} ({why})" if why else gpu.device.name


def holder(gpu: Gpu, held: Mapping[str, str]) -> str:
    return next((held[a] for a in gpu.addresses if a in held), "")
