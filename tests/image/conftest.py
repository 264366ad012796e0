"""One guest, booted once, shared by the tests that leave it running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .machine import (
    MAC,
    Machine,
    base_folder,
    make_disk,
    make_overlay,
    make_seed,
)

ENTRYPOINT = """#!/bin/sh
mkdir -p /tmp/www
echo $$ >/tmp/www/pid
env >/tmp/www/env
id >/tmp/www/id
pwd >/tmp/www/pwd
echo "said $GREETING"
exec /usr/lib/formation/busybox httpd -f -p 8000 -h /tmp/www
"""
IMAGE_FILES = {
    "etc/formation/entrypoint": ENTRYPOINT,
    "etc/formation/agent.conf": "WORKDIR='/srv'\nRUNAS='daemon'\n",
    "etc/formation/environment": "GREETING='it'\\''s on'\nPORT='8000'\n",
    "data/.keep": "",
}
NETWORK = f"ADDRESS=10.0.2.15/24\nGATEWAY=10.0.2.2\nDNS=10.0.2.3\nMAC={MAC.upper()}\n"
SEED_FILES = {
    "hostname": b"guest-one\n",
    "network": NETWORK.encode(),
    "env": b"TOKEN='s3 cret'\n",
    "shadow": b"root:$6$salt$hash\n",
    "expire": b"root\n",
    "volumes": b"vol1 /data\n",
    "entropy": bytes(range(64)),
}


@pytest.fixture(scope="session")
def base() -> Path:
    folder = base_folder()
    if not (folder / "manifest.json").exists():
        pytest.skip(f"no guest base in {folder}: python -m image.guest.build makes it")
    return folder


@pytest.fixture(scope="session")
def disk(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_disk(base, tmp_path_factory.mktemp("disk"), IMAGE_FILES)


Boot = Callable[[], Machine]


@pytest.fixture(scope="session")
def boot(
    base: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Boot]:
    """Starts guests of that image, each on its own disks; ends them all."""
    machines: list[Machine] = []

    def start() -> Machine:
        folder = tmp_path_factory.mktemp("guest")
        volume = folder / "volume.img"
        with volume.open("wb") as file:
            file.truncate(64 * 2**20)
        overlay = make_overlay(disk, folder / "root.qcow2", "5G")
        seed = make_seed(folder / "seed.tar", SEED_FILES)
        machines.append(Machine(base, folder, overlay, seed, volume).start())
        return machines[-1]

    yield start
    for machine in machines:
        machine.close()


@pytest.fixture(scope="session")
def guest(boot: Boot) -> Machine:
    machine = boot()
    machine.get("/env")
    return machine
