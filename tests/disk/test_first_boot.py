"""First starts that go wrong or go by themselves, and the ways back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from tests.disk.machine import Appliance

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
    """Cut while the data partition is made and filled, or shortly after. A factory
    reset makes that partition anew."""
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
        found.kill()
        found.start("systemd.factory_reset=yes")
        assert found.page("/").url.path.startswith("/setup/")
    finally:
        found.kill()


def test_it_starts_by_bios(tmp_path: Path) -> None:
    found = Appliance(tmp_path)
    found.start(firmware=False)
    try:
        assert found.page("/").url.path.startswith("/setup/")
        assert found.told()["failed"] == ""
    finally:
        found.kill()
