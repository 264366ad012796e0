"""The appliance's first start under a real systemd: firewall, and a seed on a stick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.admin import seed
from appliance.admin.machine import facts, firewall, names, network
from appliance.appliance_image import FILE
from appliance.config import settings
from tests.systemd.conftest import ROOT, Machine

UNITS = Path("/usr/lib/systemd/system")
OURS = ("prepare.service", "state.service", "state.socket", "firewall.service")
PROGRAM = f"""#!/bin/sh
PYTHONPATH={ROOT} exec {sys.executable} -B -m appliance.launcher "$@"
"""
WORD = "correct horse battery"
SEED = f"""
[node]
name = "cellar"
[account]
name = "ada"
password = "{WORD}"
[services]
chosen = []
[machine]
host_name = "cellar"
"""
LOOP, CONTROL = 7, "/dev/loop-control"  # the device's major number


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = subprocess.run(
            ["journalctl", "-n", "30"], capture_output=True, text=True
        )
        raise AssertionError(f"{command}: {done.stderr}{said.stdout}")
    return done.stdout


@pytest.fixture
def appliance(machine: Machine | None) -> Iterator[None]:
    """The node's units of this checkout, as the image has them."""
    if machine is not None:
        yield
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("{}")
    (FILE.parent / "formation-run").write_text(PROGRAM)
    (FILE.parent / "formation-run").chmod(0o755)
    for name in (*OURS, "seed.service"):
        shutil.copy(ROOT / "systemd" / f"formation-{name}", UNITS)
    everywhere = Path("/run/systemd/system/formation-.service.d")
    everywhere.mkdir(parents=True)
    (everywhere / "test.conf").write_text("[Service]\nProtectHome=no\n")
    run("systemctl", "daemon-reload")
    yield
    run("systemctl", "stop", *(f"formation-{name}" for name in OURS))
    for name in (*OURS, "seed.service"):
        (UNITS / f"formation-{name}").unlink()
    for folder in (everywhere, FILE.parent, Path("/var/lib/formation")):
        shutil.rmtree(folder, ignore_errors=True)
    run("systemctl", "daemon-reload")


@pytest.fixture
def stick(appliance: None, machine: Machine | None, tmp_path: Path) -> Iterator[Path]:
    """A file system with a seed, on a device that the machine sees."""
    if machine is not None:
        yield tmp_path
        return
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / seed.NAME).write_text(SEED)
    image = tmp_path / "stick.img"
    run("mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", image, "4M")
    if not Path(CONTROL).exists():
        os.mknod(CONTROL, 0o600 | 0o020000, os.makedev(10, 237))
    device = Path(run("losetup", "--find").strip())
    if not device.exists():
        number = int(device.name.removeprefix("loop"))
        os.mknod(device, 0o600 | 0o060000, os.makedev(LOOP, number))
    run("losetup", device, image)
    known = Path("/run/udev/data") / f"b7:{device.name.removeprefix('loop')}"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text("E:ID_FS_TYPE=ext4\n")  # as udev would: there is none here
    yield image
    known.unlink()
    run("losetup", "--detach", device)


@pytest.mark.vm
@pytest.mark.usefixtures("appliance")
def test_the_firewall_is_there_before_anything_listens(machine: Machine | None) -> None:
    run("systemctl", "start", "formation-firewall.service")
    shown = run("nft", "list", "table", "inet", firewall.TABLE)
    assert "policy drop" in shown
    assert "tcp dport 8443 accept" in shown
    assert "dport 22" not in shown


ACT = """
from appliance.admin.machine import changing, facts, firewall, wish
from appliance.config import settings
asked = {"host_name": "shed", "time_zone": "UTC", "network": {"dns": ["192.0.2.53"]}}
changing.at_once(wish.checked(asked))
firewall.refresh(settings())
facts.refresh(settings())
"""


@pytest.mark.vm
@pytest.mark.usefixtures("appliance")
def test_formation_jobs_sets_the_machine_behind_its_own_walls(
    machine: Machine | None, tmp_path: Path
) -> None:
    """The unit as it is, but for what it runs."""
    run("systemctl", "start", "formation-prepare.service", "systemd-networkd.service")
    (tmp_path / "act.py").write_text(ACT)
    place = Path("/var/lib/act.py")
    shutil.copy(tmp_path / "act.py", place)
    text = (ROOT / "systemd/formation-jobs.service").read_text()
    text = text.replace("Type=notify", "Type=oneshot").replace("Restart=always", "")
    program = f"{sys.executable} -B {place}"
    text = text.replace("/usr/lib/formation/formation-run jobs", program)
    walls = text.partition("[Service]")[2].partition("[Install]")[0]
    unit = Path("/run/systemd/system/formation-act.service")
    unit.write_text(
        f"[Service]{walls}Environment=PYTHONPATH={ROOT}\nRemainAfterExit=yes\n"
    )
    run("systemctl", "daemon-reload")
    run("systemctl", "start", unit.name)
    seen = facts.report(settings())
    assert (seen["host_name"], seen["time_zone"]) == ("shed", "UTC")
    assert "DNS=192.0.2.53" in (network.NOW / network.NAME).read_text()
    assert (network.KEPT / network.NAME).exists()
    assert "policy drop" in run("nft", "list", "table", "inet", firewall.TABLE)
    run("systemctl", "stop", unit.name)
    unit.unlink()
    place.unlink()


@pytest.mark.vm
def test_a_seed_on_a_stick_sets_the_node_up_behind_its_walls(
    stick: Path, machine: Machine | None
) -> None:
    run("systemctl", "start", "formation-state.service")
    run("systemctl", "start", "formation-seed.service")
    said = seed.said_file(settings()).read_text()
    assert "its operator is ada" in said
    assert "erased from /dev/loop" in said
    assert WORD.encode() not in stick.read_bytes()
    assert names.host_name() == "cellar"
    assert WORD not in run("journalctl", "--no-pager", "-u", "formation-seed")
    shown = run("systemctl", "show", "formation-seed.service", "-P", "Result")
    assert shown.strip() == "success"
