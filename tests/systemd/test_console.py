"""The console in place of log-ins, under a real systemd."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.appliance_image import FILE
from tests.systemd.conftest import ROOT, Machine

UNITS = Path("/usr/lib/systemd/system")
GENERATOR = "formation-console-generator"


def id_of(unit: str) -> str:
    command = ["systemctl", "show", unit, "--property=Id", "--value"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def reload() -> None:
    subprocess.run(["systemctl", "daemon-reload"], check=True)


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
