"""Images and layers on a disk: what something needs is never removed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from appliance import operations, pack, state
from appliance.config import Settings
from appliance.operations import Kind, Operation, Step
from appliance.pack import collection, images, store
from appliance.pack.build import built
from appliance.pack.store import Store
from appliance.problems import Conflict, NotFound
from appliance.state.server import StateServer

ID = "0" * 26


class Node:
    """A node with no place for anything that is not needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.data_dir / "pack" / "layers", os.getuid())

    def image(self, letter: str, used: float = 1000.0) -> Path:
        path = images.image_file(self.settings.images_dir, letter * 64)
        path.write_bytes(b"x" * 9000)
        os.utime(path, (used, used))
        return path

    def layer(self, letter: str, parent: str = "") -> Path:
        with self.store.draft(letter * 64, f"RUN {letter}", parent) as draft:
            (draft / "file").write_bytes(b"x" * 9000)
        return self.store.folder / (letter * 64)

    def record(self, agent: str, version: str, letter: str, latest: bool) -> None:
        body = {"agent": agent, "version": version, "image": letter * 64}
        state.put("version", f"{agent}@{version}", body)
        if latest:
            state.put("agent", agent, {"latest": version})

    def collect(self) -> list[str]:
        lines: list[str] = []
        pack.collect(self.settings, everything=True, log=lines.append)
        return lines


@pytest.fixture
def node(
    settings: Settings, state_server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> Node:
    deploy = Kind("deploy", (Step("build", "Build", lambda run: None),))
    monkeypatch.setattr(operations, "kinds", lambda: {"deploy": deploy})
    return Node(settings)


def deploying(**memory: str) -> None:
    id_ = operations.submit(
        "deploy", title="Deploying echo", subject="", params={}, account="1"
    )
    changed = {"memory": json.dumps(memory), "state": "working", "created": 2000.0}
    Operation.update(**changed).where(Operation.id == id_).execute()


def test_what_nothing_needs_goes_and_the_log_says_so(node: Node) -> None:
    path, folder = node.image("a"), node.layer("b")
    lines = node.collect()
    assert not path.exists()
    assert not folder.exists()
    assert [line.split(":")[0] for line in lines] == [
        "removed the image aaaaaaaaaaaa (of no registered version)",
        "removed the layer bbbbbbbbbbbb (RUN b)",
    ]


def test_below_the_bound_nothing_goes(node: Node) -> None:
    path = node.image("a")
    assert pack.collect(node.settings) == 0
    assert path.exists()


def test_the_latest_version_of_an_agent_keeps_its_image(node: Node) -> None:
    old, new = node.image("a"), node.image("b")
    node.record("ada/echo", "0.1.0", "a", latest=False)
    node.record("ada/echo", "0.2.0", "b", latest=True)
    node.collect()
    assert (old.exists(), new.exists()) == (False, True)


def test_an_instance_keeps_its_image(node: Node) -> None:
    path = node.image("a")
    body = {"agent": "ada/echo", "version": "1", "image": "a" * 64}
    state.put("instance", ID, body)
    node.collect()
    assert path.exists()


def test_a_disk_keeps_its_image_though_its_record_is_lost(node: Node) -> None:
    path = node.image("a")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"], check=True)
    os.utime(path, (1000, 1000))
    disk = node.settings.instances_dir / ID / "disk.qcow2"
    disk.parent.mkdir()
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2"]
    subprocess.run([*overlay, disk], check=True)
    node.collect()
    assert path.exists()


def test_an_operation_at_work_keeps_the_image_that_it_built(node: Node) -> None:
    path, other = node.image("a"), node.image("b")
    deploying(image="a" * 64)
    node.collect()
    assert (path.exists(), other.exists()) == (True, False)


def test_an_operation_that_still_builds_keeps_what_is_newer_than_itself(
    node: Node,
) -> None:
    old, new = node.image("a", 1999), node.image("b", 2001)
    deploying()
    node.collect()
    assert (old.exists(), new.exists()) == (False, True)


def test_an_image_that_a_build_takes_meanwhile_stays(node: Node) -> None:
    path = node.image("a")
    (seen,) = images.images(node.settings.images_dir)
    assert images.take(path)
    assert not images.remove(seen)
    assert path.exists()


def test_what_another_collector_removed_is_not_removed_twice(node: Node) -> None:
    path, folder = node.image("a"), node.layer("b")
    (seen,) = images.images(node.settings.images_dir)
    with store.alone(path) as mine, store.alone(folder) as ours:
        assert mine
        assert ours
        assert not images.remove(seen)
        assert not node.store.remove("b" * 64)
    node.collect()
    assert not images.remove(seen)
    assert not node.store.remove("b" * 64)


def test_an_image_that_went_meanwhile_is_built_again(node: Node) -> None:
    checked = pack.check("NAME a\nENTRYPOINT true")
    assert checked.formfile is not None
    request = pack.request(node.settings, checked.formfile, None)
    request.note.parent.mkdir(parents=True)
    request.note.write_text(json.dumps({"digest": "a" * 64}))
    node.image("a")
    assert built(request) is not None
    node.collect()
    assert built(request) is None
    assert not request.note.exists()


def test_a_layer_that_a_build_stands_on_stays(node: Node) -> None:
    folder = node.layer("a")
    held = node.store.hold("a" * 64)
    assert held is not None
    node.collect()
    assert folder.exists()
    os.close(held.descriptor)
    node.collect()
    assert not folder.exists()


def test_an_image_in_use_is_not_deleted_and_who_needs_it_is_said(node: Node) -> None:
    node.image("a")
    node.record("ada/echo", "0.1.0", "a", latest=True)
    with pytest.raises(Conflict, match="needed by ada/echo's latest version"):
        pack.delete_image(node.settings, "a" * 64)


def test_one_image_is_deleted_by_hand(node: Node) -> None:
    path, other = node.image("a"), node.image("b")
    assert pack.delete_image(node.settings, "a" * 64) > 0
    assert (path.exists(), other.exists()) == (False, True)
    with pytest.raises(NotFound):
        pack.delete_image(node.settings, "a" * 64)


def test_a_draft_goes_with_its_builder(node: Node) -> None:
    mine, dead = (
        node.settings.images_dir / f"{'a' * 64}.{pid}.new" for pid in (os.getpid(), "x")
    )
    for draft in (mine, dead):
        draft.write_bytes(b"x")
    node.collect()
    assert (mine.exists(), dead.exists()) == (True, False)


def test_other_files_beside_the_images_are_not_ours(node: Node) -> None:
    path = node.settings.images_dir / "mine.qcow2"
    path.write_bytes(b"x")
    node.collect()
    assert path.exists()
    assert collection.look(node.settings).items == ()
