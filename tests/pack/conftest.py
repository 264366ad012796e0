"""Builds in folders of their own, on the guest base; what they leave is looked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import psutil
import pytest

from appliance import pack
from appliance.pack import cgroup, place

BASE = Path(os.environ.get("FORMATION_TEST_BASE", "/var/lib/formation/base/debian-13"))
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Nobody else's, so that what has them is ours: other workers build at the same time.
START_ID = 1_700_000_000 + 65536 * WORKER
BLOCK = IPv4Network((0xC6120000 + 0xFE00 - 0x100 * WORKER, 24))  # 198.18.254.0
END = 'ENTRYPOINT ["/bin/true"]\n'


def until(found: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition, or fail saying what was waited for."""
    pause = threading.Event()
    for _ in range(int(seconds * 20)):
        if found():
            return
        pause.wait(0.05)
    pytest.fail(f"{what}: not within {seconds} s")


@dataclass
class Bench:
    """A place to build in; `lines` is the log of the last build."""

    folder: Path
    limits: pack.BuildLimits = pack.BuildLimits(seconds=240)
    lines: list[str] = field(default_factory=list)

    @property
    def layers(self) -> Path:
        return self.folder / "data/pack/layers"

    @property
    def images(self) -> Path:
        return self.folder / "data/images"

    def request(
        self, text: str, context: Path | None = None, entrypoint: str = END
    ) -> pack.BuildRequest:
        checked = pack.check(f"NAME t\n{text}\n{entrypoint}", context)
        formfile = checked.formfile
        assert formfile is not None, checked.diagnostics
        return pack.BuildRequest(
            formfile=formfile,
            context=context,
            build_id=pack.build_id(formfile, formfile.base, context),
            base_dir=BASE,
            data_dir=self.folder / "data",
            images_dir=self.images,
            limits=self.limits,
            start_id=START_ID,
            block=BLOCK,
        )

    def build(
        self,
        text: str,
        context: Path | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        entrypoint: str = END,
        **limits: float,
    ) -> pack.BuiltImage:
        self.lines.clear()
        request = self.request(text, context, entrypoint)
        request = replace(request, limits=replace(self.limits, **limits))
        return pack.build(request, self.lines.append, cancelled)

    def refusal(self, text: str, **limits: float) -> str:
        """The sentence that a build fails with; afterwards nothing is left."""
        with pytest.raises(pack.BuildError) as raised:
            self.build(text, **limits)
        self.must_be_clean()
        return raised.value.detail

    def left(self) -> list[str]:
        """Processes, mounts, networks, groups and half layers of our builds."""
        found = [str(p) for p in self.layers.glob("*") if not whole(p)]
        for process in psutil.process_iter(["pid", "uids", "cmdline"]):
            uids = process.info["uids"]
            if uids and START_ID <= uids.effective < START_ID + 65536:
                found.append(f"process {process.info}")
        mounts = Path("/proc/self/mounts").read_text()
        memory = f"formation-layers {self.layers} "  # see place.py
        found += [
            m
            for m in mounts.splitlines()
            if str(self.folder) in m and not m.startswith(memory)
        ]
        found += [
            f"{link} {a.address}"
            for link, addresses in psutil.net_if_addrs().items()
            for a in addresses
            if a.family == socket.AF_INET and IPv4Address(a.address) in BLOCK
        ]
        prefix = str(BLOCK.network_address).removesuffix("0")
        rules = ["nft", "list", "ruleset"]
        listed = subprocess.run(rules, capture_output=True, text=True).stdout
        found += [line for line in listed.splitlines() if prefix in line]
        for parent in (cgroup.ROOT, *(cgroup.ROOT / n for n in cgroup.CONTROLLERS)):
            found += [str(p) for p in parent.glob(f"{cgroup.NAME}/*-*") if is_ours(p)]
        return found

    def must_be_clean(self) -> None:
        assert self.left() == []


def is_ours(group: Path) -> bool:
    """Whether it was made by us, or by one that is dead."""
    maker = int(group.name.split("-")[0])
    return maker == os.getpid() or not psutil.pid_exists(maker)


def whole(path: Path) -> bool:
    """A layer or its note, and nothing of a build that did not end."""
    return len(path.name.split(".")[0]) == 64 and path.suffix in ("", ".json")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="formation-pack-", dir="/var/tmp"))
    folder.chmod(0o711)  # a build's user must reach its layers
    made = Bench(folder)
    yield made
    place.vacate(made.layers)
    shutil.rmtree(folder)
