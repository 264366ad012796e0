"""Orphans go after their time, and only they; volumes only by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance import operations, state, vmm
from appliance.config import Settings
from appliance.operations import Kind, Operation, Step
from appliance.problems import Conflict, NotFound, Unavailable
from appliance.state.server import StateServer
from appliance.vmm import leftovers, libvirt
from appliance.vmm.leftovers import backing_file, orphans

IDS = [letter * 26 for letter in "abcdef"]
NOW = 10_000.0


def test_a_folder_is_an_orphan_after_its_time_of_grace() -> None:
    found = {IDS[0]: NOW - 3601, IDS[1]: NOW - 3599, IDS[2]: 0.0, "volumes": 0.0}
    assert orphans(found, {IDS[2]}, NOW) == [IDS[0]]


@pytest.fixture
def node(
    settings: Settings, state_server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setattr(libvirt, "states", lambda: {IDS[0]: "off"})
    nothing = Kind("deploy", (Step("plan", "Plan", lambda run: None),))
    monkeypatch.setattr(operations, "kinds", lambda: {"deploy": nothing})
    return settings


def old(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    for each in (path, path.parent):
        os.utime(each, (0, 0))
    return path


def deploying(agent: str) -> str:
    id_ = operations.submit("deploy", title="D", subject="", params={}, account="1")
    Operation.update(memory=f'{{"agent": "{agent}"}}').execute()
    return id_


def test_only_what_has_no_record_domain_or_operation_goes(
    node: Settings, tmp_path: Path
) -> None:
    state.put("instance", IDS[1], {"desired": "stopped"})
    at_work = deploying("ada/echo")
    ids = [IDS[0], IDS[1], at_work, IDS[2]]
    disks = [old(node.instances_dir / id_ / "disk.qcow2") for id_ in ids]
    volume = old(node.instances_dir / "volumes" / "ada" / "echo" / "data.raw")
    logs = [old(tmp_path / "qemu" / f"formation-{id_}.log") for id_ in ids]
    assert leftovers.sweep(node, tmp_path / "qemu") == [IDS[2]]
    assert [disk.exists() for disk in disks] == [True, True, True, False]
    assert [log.exists() for log in logs] == [True, True, True, False]
    assert volume.exists()


def test_a_disk_that_is_being_written_is_no_orphan(
    node: Settings, tmp_path: Path
) -> None:
    disk = old(node.instances_dir / IDS[2] / "disk.qcow2")
    os.utime(disk)
    assert leftovers.sweep(node, tmp_path) == []


def test_nothing_goes_while_libvirt_is_silent(
    node: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = old(node.instances_dir / IDS[2] / "disk.qcow2")

    def silent() -> dict[str, str]:
        raise Unavailable("libvirt-unavailable", "libvirt is gone.")

    monkeypatch.setattr(libvirt, "states", silent)
    with pytest.raises(Unavailable):
        leftovers.sweep(node, tmp_path)
    assert disk.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"QFI\xfb", b"raw" * 100, b"QFI\xfb" + b"\xff" * 40, b"QFI\xfb" + b"\0" * 99],
)
def test_what_is_no_overlay_stands_on_nothing(tmp_path: Path, content: bytes) -> None:
    assert backing_file(old(tmp_path / "x" / "disk.qcow2", content)) in (None, Path())


def test_a_volume_is_shown_with_its_users_and_then_not_deleted(node: Settings) -> None:
    path = old(vmm.volume_file(node, "ada", "echo", "/var/data"), b"x" * 5000)
    body = {"agent": "ada/echo", "version": "1.0.0", "volumes": ["/var/data"]}
    state.put("instance", IDS[0], body)
    (volume,) = vmm.volumes(node)
    assert (volume.mount, volume.size) == ("/var/data", 5000)
    assert volume.users == ("an instance of ada/echo 1.0.0",)
    with pytest.raises(Conflict, match="the volume stays"):
        vmm.delete_volume(node, "ada", "echo", volume.name)
    assert path.exists()
    state.remove("instance", IDS[0])
    deploying("ada/echo")
    with pytest.raises(Conflict):
        vmm.delete_volume(node, "ada", "echo", volume.name)


def test_a_volume_that_nothing_needs_is_deleted_by_name(node: Settings) -> None:
    path = old(vmm.volume_file(node, "ada", "echo", "/data"))
    for wrong in ("other", "../echo/data", ""):
        with pytest.raises(NotFound):
            vmm.delete_volume(node, "ada", "echo", wrong)
    vmm.delete_volume(node, "ada", "echo", "data")
    assert not path.exists()
