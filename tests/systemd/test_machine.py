"""Names, time zone and network of a real systemd, set and taken back."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.admin.machine import changing, names, network, wish
from appliance.appliance_image import FILE
from tests.systemd.conftest import ROOT, Machine

CARD, UNIT = "eth5", "formation-machine.service"
UNITS = Path("/usr/lib/systemd/system")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def until(found: Callable[[], object]) -> None:
    pause, end = threading.Event(), time.monotonic() + 60
    while not found():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.1)


def addresses() -> str:
    return run("ip", "-br", "-4", "address", "show", "dev", CARD)


@pytest.fixture
def appliance(machine: Machine | None) -> Iterator[None]:
    """An appliance with one card, in the machine."""
    if machine is not None:
        yield
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("{}")
    run("ip", "link", "add", CARD, "type", "veth", "peer", "peer5")
    run("ip", "link", "set", "peer5", "up")
    shutil.copy(ROOT / "systemd" / UNIT, UNITS)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "systemd-networkd")
    yield
    run("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd.service")
    run("ip", "link", "delete", CARD)
    (UNITS / UNIT).unlink()
    shutil.rmtree(FILE.parent)
    shutil.rmtree(network.KEPT, ignore_errors=True)
    run("systemctl", "daemon-reload")


@pytest.mark.usefixtures("appliance")
def test_host_name_and_time_zone_are_systemd_s(machine: Machine | None) -> None:
    changing.set_names(wish.checked({"host_name": "cellar", "time_zone": "UTC"}))
    assert names.host_name() == "cellar"
    assert run("hostnamectl", "hostname").strip() == "cellar"
    assert "UTC" in run("timedatectl", "show", "--property=Timezone")
    assert names.time_zone() == "UTC"


@pytest.mark.usefixtures("appliance")
def test_a_network_holds_and_comes_back_and_is_there_after_a_start(
    machine: Machine | None,
) -> None:
    wished = wish.Network.model_validate(
        {"method": "static", "interface": CARD, "address": "192.0.2.7/24"}
    )
    network.hold(network.file_text(wished))
    until(lambda: "192.0.2.7/24" in addresses())
    network.keep(wished)
    other = wished.model_copy(update={"address": "192.0.2.9/24"})
    network.hold(network.file_text(other))
    until(lambda: "192.0.2.9/24" in addresses())
    assert "192.0.2.7" not in addresses()
    (network.NOW / network.NAME).unlink()  # as after a start: /run is empty
    run("systemctl", "start", UNIT)
    run("networkctl", "reload")
    until(lambda: "192.0.2.7/24" in addresses())
    assert network.kept() == wished
