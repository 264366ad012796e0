"""A disk without room, real and small: a sentence, nothing lost, and it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from appliance import operations, schema, state, vmm
from appliance.admin import accounts, tokens
from appliance.config import Settings, settings
from appliance.layout import prepare
from appliance.operations import Kind, Run, Step
from appliance.problems import Problem, is_disk_full
from appliance.runner import execute
from appliance.service import choose, services
from appliance.state.__main__ import open_store
from appliance.state.server import StateServer
from appliance.vmm import instances
from blueprints import create_app
from tests.conftest import say

ROOT = Path(__file__).parents[1]


def on_small_disk(folder: Path, what: str) -> dict[str, Any]:
    """Run a function of this module where `folder` is a disk of 8 MiB, which only
    the child sees; what it found."""
    mount = f'mount -t tmpfs -o size=8m none {folder} && exec "$@"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-ec", mount, "sh"]
    code = f"from tests.test_full_disk import {what}; {what}()"
    folders = {f"FORMATION_{n}_DIR": str(folder / n.lower()) for n in ("DATA", "RUN")}
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        cwd=ROOT,
        env={
            **os.environ,
            **folders,
            "FORMATION_LOG_DIR": str(folder / "log"),
            "FORMATION_CONFIG": str(folder / "none.toml"),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def node() -> Settings:
    config = settings()
    prepare(config)
    schema.open_all(config)
    return config


def serve_records(config: Settings) -> None:
    """formation-state's socket, until the process ends."""
    path = config.run_dir / "state.sock"
    server = StateServer(path, open_store(config), None, lambda kind: None)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def fill(config: Settings) -> Path:
    """Take all that is free."""
    filler = config.data_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            assert is_disk_full(error)
    return filler


def asked_by_web() -> None:
    config = node()
    choose(config, [])
    for name in services():
        say(config, name, "running")
    hashed = accounts.hash_password("correct horse battery")
    serve_records(config)
    account = accounts.create("ada", hashed, ("operator",))
    token, _ = tokens.create(account, "t", ["admin"])
    client = create_app().test_client()

    def ask(method: str, path: str, **more: Any) -> Any:
        bearer = {"Authorization": f"Bearer {token}"}
        answer = client.open(path, method=method, headers=bearer, **more)
        return [answer.status_code, answer.get_json()]

    filler = fill(config)
    refused = ask("POST", "/api/v1/pack/collect")
    listed = ask("GET", "/api/v1/operations")
    filler.unlink()
    print(
        json.dumps(
            {
                "refused": refused,
                "listed": listed,
                "after": ask("POST", "/api/v1/pack/collect")[0],
            }
        )
    )


def worked_on() -> None:
    """An operation whose step meets the full disk; what can be freed is the filler."""
    config = node()
    files: list[Path] = []

    def write(run: Run) -> None:
        if not run.memory.get("full"):
            run.remember(full=True)
            files.append(fill(config))
        (config.data_dir / "disk").write_bytes(b"x" * 100_000)

    def make_room() -> int:
        size = files[0].stat().st_size
        files[0].unlink()
        return size

    kind = Kind("write", (Step("write", "Write", write),))
    operations.kinds = lambda: {"write": kind}
    id_ = operations.submit("write", title="W", subject="", params={}, account="1")
    execute(id_, "w", make_room=make_room)
    lines = [line for *_, line in operations.log_lines(id_)]
    print(json.dumps({"state": operations.get(id_).state, "lines": lines}))


def recorded() -> None:
    """Records on a full disk; each is as large as a page."""
    config = node()
    serve_records(config)
    state.put("agent", "ada/echo", {"latest": "0.1.0"})
    filler, said = fill(config), ""
    try:
        for number in range(100):
            state.put("agent", f"ada/{number}", {"text": "x" * 4096})
    except Problem as problem:
        said = f"{problem.name}: {problem.detail}"
    found = state.find("agent", "ada/echo")
    filler.unlink()
    after = state.put("agent", "ada/echo", {"latest": "0.2.0"})
    print(
        json.dumps(
            {"said": said, "kept": found and found.body, "after": after.body["latest"]}
        )
    )


def placed() -> None:
    """An instance's overlay on a full disk; then again with room."""
    config = node()
    base, image = config.base_dir / "debian-13", config.images_dir / "a.qcow2"
    base.mkdir(parents=True)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1G"]
    subprocess.run(command, check=True)
    spec = vmm.InstanceSpec(
        id="i" * 26,
        hostname="echo",
        image=image,
        base_dir=base,
        folder=config.instances_dir / ("i" * 26),
        vcpu=1,
        memory_mib=512,
        disk_gib=5,
        bridge="b",
        address="10.0.0.2",
        prefix=24,
        gateway="10.0.0.1",
    )
    filler, said = fill(config), []
    try:
        instances.write_disks(spec)
    except (Problem, OSError) as error:
        said.append([is_disk_full(error), str(error)])
    disk = spec.folder / "disk.qcow2"
    whole = disk.exists()
    filler.unlink()
    instances.write_disks(spec)
    print(json.dumps({"said": said, "whole": whole, "after": disk.exists()}))


def test_the_web_says_it_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, "asked_by_web")
    status, problem = found["refused"]
    assert (status, problem["type"]) == (507, "/problems/disk-full")
    assert "nothing was changed" in problem["detail"]
    assert found["listed"] == [200, {"operations": []}]
    assert found["after"] == 202


def test_records_say_it_and_keep_what_was_there(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, "recorded")
    assert found["said"].startswith("disk-full: ")
    assert "nothing was changed" in found["said"]
    assert found["kept"] == {"latest": "0.1.0"}
    assert found["after"] == "0.2.0"


def test_an_operation_frees_what_it_can_once_and_says_so(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, "worked_on")
    assert found["state"] == "completed"
    assert found["lines"][0].startswith("the disk is full: ")
    assert "that nothing uses were removed; trying once more" in found["lines"][1]


def test_an_instance_that_cannot_be_written_leaves_no_half_disk(tmp_path: Path) -> None:
    found = on_small_disk(tmp_path, "placed")
    ((full, text),) = found["said"]
    assert full, text
    assert (found["whole"], found["after"]) == (False, True)
