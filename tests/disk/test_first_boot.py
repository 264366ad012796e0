"""First starts that go wrong or go by themselves, and the ways back."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.disk.machine import Appliance

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.vm, pytest.mark.image, pytest.mark.timeout(1800)]
SEED = """[node]
name = "cellar"
[account]
name = "ada"
password = "correct horse battery"
"""


@pytest.fixture
def stick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A USB stick with the wizard's answers."""
    folder = tmp_path_factory.mktemp("stick")
    (folder / "tree").mkdir()
    (folder / "tree/formation-seed.toml").write_text(SEED)
    file = folder / "stick.img"
    make = ["mke2fs", "-q", "-t", "ext4", "-d", str(folder / "tree"), str(file), "16M"]
    subprocess.run(make, check=True)
    return file


def test_it_survives_a_power_cut_at_its_first_start_and_a_seed_sets_it_up(
    tmp_path: Path, stick: Path
) -> None:
    """Cut while the data partition is made and filled, or shortly after."""
    found = Appliance(tmp_path, stick)
    found.start()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"https://127.0.0.1:{found.port}/", verify=False, timeout=25)
    found.kill()
    found.start()
    try:
        assert found.told()["failed"] == ""
        assert found.page("/").url.path == "/login"
        assert "correct horse" not in stick.read_bytes().decode(errors="replace")
    finally:
        found.kill()


def test_a_factory_reset_makes_the_data_anew_once(tmp_path: Path) -> None:
    """As the console's menu asks for it, behind the walls of the console's unit."""
    found = Appliance(tmp_path)
    certificates = []
    try:
        for unit in (asking_for_reset(), "", ""):
            found.start(unit=unit)
            assert found.told()["failed"] == ""
            certificates.append(ssl.get_server_certificate(("127.0.0.1", found.port)))
            found.kill()
    finally:
        found.kill()
    before, after, later = certificates
    assert before != after == later


def asking_for_reset() -> str:
    console = (ROOT / "systemd/formation-console@.service").read_text()
    walls = console[console.index("CapabilityBoundingSet=") :]
    act = "from appliance.admin.console.factory import must_be_possible, request"
    act += "; must_be_possible(); request()"
    python = "/usr/lib/formation/release/bin/python"
    return f"[Service]\nType=oneshot\nExecStart={python} -c '{act}'\n{walls}"


def test_it_starts_by_bios(tmp_path: Path) -> None:
    found = Appliance(tmp_path)
    found.start(firmware=False)
    try:
        assert found.page("/").url.path.startswith("/setup/")
        assert found.told()["failed"] == ""
    finally:
        found.kill()
