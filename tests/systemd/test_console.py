"""The console in place of log-ins, under a real systemd."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import layout
from appliance.admin import setup
from appliance.admin.caddy import ensure_certificate
from appliance.admin.machine import network
from appliance.appliance_image import FILE
from appliance.config import settings
from tests.admin.console.terminal import Screen
from tests.systemd.conftest import ROOT, Machine

UNITS = Path("/usr/lib/systemd/system")
GENERATOR = "formation-console-generator"


def id_of(unit: str) -> str:
    command = ["systemctl", "show", unit, "--property=Id", "--value"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def reload() -> None:
    run("systemctl", "daemon-reload")


@pytest.fixture
def laid_down(machine: Machine | None) -> Iterator[None]:
    if machine is not None:
        yield
        return
    generators = UNITS.parent / "system-generators"
    shutil.copy(ROOT / "systemd/formation-console@.service", UNITS)
    shutil.copy(ROOT / "systemd" / GENERATOR, generators)
    yield
    (UNITS / "formation-console@.service").unlink()
    (generators / GENERATOR).unlink()
    shutil.rmtree(FILE.parent, ignore_errors=True)
    reload()


PROGRAM = "from appliance.cli import main; main()"
DROP_IN = f"""[Service]
ExecStart=
ExecStart={sys.executable} -B -c "{PROGRAM}" console
Environment=TERM=vt220 PYTHONPATH={ROOT}
TTYReset=no
TTYVHangup=no
TTYVTDisallocate=no
ProtectHome=no
Restart=no
"""
CARD = "eth5"


@pytest.fixture
def console(laid_down: None, machine: Machine | None) -> Iterator[Screen | None]:
    """The unit on a terminal of the test, on an appliance with one card."""
    if machine is not None:
        yield None
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("{}")
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs).removeprefix("/dev/").replace("/", "-")
    unit = f"formation-console@{name}.service"
    folder = Path("/run/systemd/system") / f"{unit}.d"
    folder.mkdir(parents=True)
    (folder / "test.conf").write_text(DROP_IN)
    run("ip", "link", "add", CARD, "type", "veth", "peer", "peer5")
    run("ip", "link", "set", "peer5", "up")
    run("systemctl", "start", "systemd-networkd")
    Path("/etc/formation").mkdir(exist_ok=True)
    layout.prepare(settings())
    ensure_certificate(settings())
    setup.new_claim(settings())
    reload()
    run("systemctl", "start", unit)
    yield Screen(ours)
    run("systemctl", "stop", unit, "systemd-networkd.socket", "systemd-networkd")
    run("ip", "link", "delete", CARD)
    shutil.rmtree(folder)
    shutil.rmtree("/etc/formation")
    os.close(ours)
    os.close(theirs)


@pytest.mark.vm
def test_behind_its_walls_it_shows_the_node_and_sets_the_network(
    console: Screen | None, machine: Machine | None
) -> None:
    assert console is not None
    console.sees(setup.claim_file(settings()).read_text(), "Enter: menu")
    console.press("\r")
    console.sees("What shall be done?")
    console.press("1")
    console.sees(CARD, "dhcp or static")
    console.press("static\r")
    console.sees("Card")
    console.press(f"{CARD}\r")
    console.sees("Address with prefix")
    console.press("192.0.2.7/24\r")
    console.sees("Gateway")
    console.press("\r")
    console.sees("DNS servers")
    console.press("\r")
    console.sees("Keep it?")
    console.press("y\r")
    console.sees("It is kept.")
    assert "Address=192.0.2.7/24" in (network.KEPT / network.NAME).read_text()
    console.press("\r")
    console.sees("What shall be done?")
    console.press("0")
    console.sees("https://192.0.2.7:8443")


@pytest.mark.usefixtures("laid_down")
def test_the_appliance_shows_its_console_where_others_ask_for_a_log_in(
    machine: Machine | None,
) -> None:
    reload()
    assert id_of("getty@tty1.service") == "getty@tty1.service"
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("{}")
    reload()
    for name in ("getty@tty1", "serial-getty@ttyS0", "autovt@tty2"):
        terminal = name.partition("@")[2]
        assert id_of(f"{name}.service") == f"formation-console@{terminal}.service"
