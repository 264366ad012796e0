"""The seed file: found, read, done, erased; and what a wrong one leaves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from appliance.admin import accounts, media, seed, setup
from appliance.admin.console import facts
from appliance.admin.machine import network
from appliance.admin.media import Partition
from appliance.config import Settings
from appliance.problems import Problem
from appliance.state.server import StateServer
from tests.admin.machine.conftest import on_appliance as on_appliance
from tests.admin.machine.conftest import told as told

WORD = "correct horse battery"
GOOD = f"""
[node]
name = "cellar"
[account]
name = "ada"
password = "{WORD}"
[services]
chosen = ["form-dns"]
"""
STATIC = """
[machine.network]
method = "static"
interface = "eth1"
address = "192.168.1.20/24"
"""
STICK = Partition("/dev/sdb1", "FORMATION", "vfat", 4 << 20, True, False, ())
ESP = Partition("/dev/sda1", "esp", "vfat", 4 << 20, False, True, ())


class Sticks:
    """Partitions whose files are folders of the test."""

    def __init__(self, root: Path) -> None:
        self.root, self.locked = root, False

    def file(self, of: Partition = STICK) -> Path:
        folder = self.root / Path(of.path).name
        folder.mkdir(exist_ok=True)
        return folder / seed.NAME

    @contextmanager
    def mounted(self, place: Partition, writable: bool) -> Iterator[Path]:
        if writable and self.locked:
            raise Problem("mount-failed", "read-only")
        yield self.file(place).parent


@pytest.fixture
def sticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sticks:
    found = Sticks(tmp_path)
    monkeypatch.setattr(media, "partitions", lambda: [ESP, STICK])
    monkeypatch.setattr(media, "mounted", found.mounted)
    return found


@pytest.fixture
def node(settings: Settings, records: StateServer, on_appliance: Path) -> Settings:
    return settings


def test_a_seed_sets_the_node_up_and_is_erased(node: Settings, sticks: Sticks) -> None:
    sticks.file().write_text(GOOD + STATIC)
    kept = sticks.file().with_name("same")
    kept.hardlink_to(sticks.file())
    said = seed.run(node)
    assert "its operator is ada" in said
    assert "erased from /dev/sdb1" in said
    assert setup.is_done(node)
    assert accounts.log_in("ada", WORD, "192.0.2.1").name == "ada"
    assert not sticks.file().exists()
    assert WORD not in kept.read_text()  # what it took is overwritten too
    assert "192.168.1.20/24" in (network.KEPT / network.NAME).read_text()
    assert seed.run(node) == ""  # once


def test_a_stick_counts_before_the_esp(node: Settings, sticks: Sticks) -> None:
    sticks.file(STICK).write_text(GOOD)
    sticks.file(ESP).write_text(GOOD.replace('"ada"', '"bo"'))
    assert "ada" in seed.run(node)
    assert sticks.file(ESP).exists()


def test_what_cannot_be_erased_is_said(node: Settings, sticks: Sticks) -> None:
    sticks.file().write_text(GOOD)
    sticks.locked = True
    assert "still on it with the password" in seed.run(node)
    assert setup.is_done(node)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[node", "it is no TOML"),
        ("", "missing 'account'"),
        (GOOD.replace("[node]", "[nod]"), "[nod] is not known here"),
        (GOOD.replace('"cellar"', '"The Cellar"'), "name:"),
        (GOOD.replace(WORD, "short"), "10 to 1024"),
        (GOOD.replace("form-dns", "form-magic"), "form-magic"),
        (GOOD + STATIC.replace("eth1", "eth7"), "no card 'eth7'"),
        (GOOD + STATIC.replace("/24", ""), "prefix"),
        (GOOD + "[machine]\ncolour = 1\n", "colour"),
        ("node = 1\naccount = 2\n", "[account] is a table"),
        (GOOD.replace('chosen = ["form-dns"]', "chosen = 5"), "a list of names"),
        ("x" * (seed.LARGEST + 10), "larger than"),
    ],
)
def test_a_wrong_seed_is_one_sentence_and_changes_nothing(
    node: Settings, sticks: Sticks, text: str, why: str
) -> None:
    sticks.file().write_text(text)
    said = seed.run(node)
    assert why in said
    assert "was not taken" in said
    assert WORD not in said
    assert "\n" not in said
    assert facts.gather().said == said
    assert not setup.is_done(node)
    assert setup.saved() == {}
    assert sticks.file().exists()
    assert network.present() is None
    code = setup.new_claim(node)
    setup.claim(node, code, "192.0.2.1")  # and it can be claimed


def test_bytes_that_are_no_text_are_said(node: Settings, sticks: Sticks) -> None:
    sticks.file().write_bytes(b"\xff\xfe[node]")
    assert "no UTF-8" in seed.run(node)


def test_links_and_folders_are_no_seed(
    node: Settings, sticks: Sticks, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text(GOOD)
    sticks.file().symlink_to(tmp_path / "elsewhere")
    sticks.file(ESP).mkdir()
    assert seed.run(node) == ""
    assert not setup.is_done(node)


def test_without_a_seed_nothing_is_said(node: Settings, sticks: Sticks) -> None:
    assert seed.run(node) == ""
    assert facts.gather().said == ""


@hypothesis_settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_whatever_is_in_it_is_tables_or_a_problem(content: bytes) -> None:
    try:
        assert set(seed.read(content)) <= set(seed.TABLES)
    except Problem as problem:
        assert problem.name == "seed-wrong"


def test_a_partition_is_as_loose_as_its_disk() -> None:
    listing = {
        "blockdevices": [
            {
                "path": "/dev/sda",
                "tran": "sata",
                "fstype": None,
                "children": [
                    {"path": "/dev/sda1", "fstype": "vfat", "parttype": media.ESP},
                    {"path": "/dev/sda2", "fstype": "erofs"},
                    {"path": "/dev/sda3", "fstype": "ext4", "mountpoints": ["/var"]},
                ],
            },
            {
                "path": "/dev/sdb",
                "tran": "usb",
                "children": [{"path": "/dev/sdb1", "fstype": "vfat", "label": "F"}],
            },
            {
                "path": "/dev/sr0",
                "fstype": "iso9660",
                "rm": True,
                "mountpoints": [None],
            },
        ]
    }
    found = {one.path: one for one in media.parsed(listing)}
    assert sorted(found) == ["/dev/sda1", "/dev/sda3", "/dev/sdb1", "/dev/sr0"]
    assert (found["/dev/sdb1"].is_loose, found["/dev/sda1"].is_loose) == (True, False)
    assert (found["/dev/sda1"].is_esp, found["/dev/sda3"].mounts) == (True, ("/var",))
    order = [one.path for one in seed.in_order(found.values())]
    assert order == ["/dev/sdb1", "/dev/sr0", "/dev/sda1", "/dev/sda3"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Partition]:
    """A real ext4 file system on a loop device, with a seed on it."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / seed.NAME).write_text(GOOD)
    image = tmp_path / "disk.img"
    make = ["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", image, "4M"]
    subprocess.run(make, check=True)
    attach = ["losetup", "--find", "--show", image]
    done = subprocess.run(attach, capture_output=True, text=True, check=True)
    path = done.stdout.strip()
    yield Partition(path, "", "ext4", 4 << 20, True, False, ())
    subprocess.run(["losetup", "--detach", path], check=True)


def test_a_real_stick_is_mounted_read_and_erased(
    node: Settings, disk: Partition, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(media, "partitions", lambda: [disk])
    assert f"erased from {disk.path}" in seed.run(node)
    with media.mounted(disk, writable=False) as folder:
        assert not (folder / seed.NAME).exists()
    assert WORD.encode() not in (tmp_path / "disk.img").read_bytes()
    assert disk.path not in Path("/proc/mounts").read_text()


def test_the_child_that_reads_it_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "{'tables': {'node': {'is': [*os.getresuid(), *os.getgroups()]}}}"
    child = "import json, os; from appliance.admin import seed; seed.give_up_rights(); "
    monkeypatch.setattr(seed, "CHILD", f"{child} print(json.dumps({told}))")
    assert seed.read(b"") == {"node": {"is": [seed.NOBODY] * 3}}
