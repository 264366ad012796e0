"""Deleting agents and versions, with machines and images that are only noted down."""

from __future__ import annotations

from typing import Any

import pytest

from appliance import operations, runner, state, vmm
from appliance.config import Settings
from appliance.market import secrets, tasks, withdraw
from appliance.market.catalogue import find_agent
from appliance.problems import Conflict, NotFound, Problem
from tests.market.test_deploy import Crash, World, redeploy, version_of, world

__all__ = ["world"]
STEPS = [step.name for step in withdraw.KINDS[0].steps]
ZONE = "formation.internal"


def deploy(text: str = "", owner: str = "ada") -> operations.Operation:
    id_ = operations.submit(
        "deploy",
        title="Deploy",
        subject=owner,
        params={"formfile": f"NAME echo\n{text}\nENTRYPOINT x\n", "owner_name": owner},
        account="1",
    )
    runner.execute(id_, "w")
    return operations.get(id_)


def delete(volumes: bool = False, crash: str = "") -> operations.Operation:
    id_ = withdraw.request("ada/echo", "1", volumes)

    def die(_: str, step: str) -> None:
        if step == crash:
            raise Crash

    if crash:
        with pytest.raises(Crash):
            runner.execute(id_, "first", die)
        runner.Runner().recover()
    runner.execute(id_, "second")
    return operations.get(id_)


def kept() -> list[str]:
    """Kind and id of every record of the catalogue."""
    kinds = ("agent", "version", "build", "deployment", "instance", "domain")
    return [f"{kind} {r.id}" for kind in kinds for r in state.select(kind)]


def volume_of(settings: Settings) -> Any:
    file = vmm.volume_file(settings, "ada", "echo", "/data")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"kept")
    return file


@pytest.mark.parametrize("boundary", ["", *STEPS])
def test_an_agent_goes_with_all_that_is_its_own(
    world: World,
    settings: Settings,
    boundary: str,
) -> None:
    deploy("VERSION 0.1.0")
    deploy("VERSION 0.2.0\nVCPU 2")
    secrets.put("ada", "echo", "KEY", "word")
    file = volume_of(settings)
    wish = {"input": 1, "timeout_s": 60, "metadata": {}}
    task = tasks.create("ada", "echo", "0.1.0", "1", wish)
    assert delete(crash=boundary).state == "completed"
    assert kept() == []
    assert world.machines == {}
    assert secrets.names("ada", "echo") == []
    assert file.exists()
    assert tasks.get(task.id).agent == "echo"


@pytest.mark.parametrize(
    "kind", ["domain", "deployment", "instance", "version", "build", "agent"]
)
def test_a_crash_between_two_records_is_made_good(
    world: World, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("VERSION 0.1.0")
    deploy("VERSION 0.2.0\nVCPU 2")
    state.put("deployment", "lost", {"agent": "ada/echo", "version": "0.1.0"})
    remove = state.remove

    def die(of: str, id_: str) -> None:
        remove(of, id_)
        if of == kind:
            raise Crash

    id_ = withdraw.request("ada/echo", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(state, "remove", die)
        runner.execute(id_, "first")
    runner.Runner().recover()
    if kind in ("version", "build", "agent"):
        operations.cancel(id_)  # too late: half an agent is none
    runner.execute(id_, "second")
    assert kept() == []


def test_a_deletion_that_is_ended_before_it_begins_changes_nothing(
    world: World,
) -> None:
    deploy()
    before = kept()
    id_ = withdraw.request("ada/echo", "1")
    operations.cancel(id_)
    runner.execute(id_, "w")
    assert operations.get(id_).state == "canceled"
    assert kept() == before


def test_a_build_that_another_agent_has_too_stays(world: World) -> None:
    deploy()
    (build,) = state.select("build")
    body = {"agent": "bob/echo", "version": "1.0.0", "image": world.digest}
    state.put("version", "bob/echo@1.0.0", {**body, "build_id": build.id})
    delete()
    assert kept() == ["version bob/echo@1.0.0", f"build {build.id}"]


def test_volumes_go_where_that_was_asked_for(world: World, settings: Settings) -> None:
    deploy()
    file = volume_of(settings)
    stays = delete()
    lines = [line for *_, line in operations.log_lines(stays.id)]
    assert any("/data stays" in line for line in lines)
    deploy()
    delete(volumes=True)
    assert not file.exists()


def test_an_agent_that_is_unknown_or_goes_already_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="no agent ada/echo"):
        withdraw.request("ada/echo", "1")
    deploy()
    withdraw.request("ada/echo", "1")
    with pytest.raises(Conflict, match="is being deleted"):
        withdraw.request("ada/echo", "1")
    with pytest.raises(Conflict, match="is being deleted"):
        withdraw.request_version("ada/echo", "0.1.0", "1")


def test_a_deletion_ends_the_deployment_that_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("VERSION 0.1.0")
    asked: list[str] = []

    def probe(*of: object) -> tuple[bool, str]:
        if not asked:
            asked.append(withdraw.request("ada/echo", "1"))
        return False, "it boots"

    monkeypatch.setattr(vmm, "probe_health", probe)
    monkeypatch.setattr(vmm, "domain_state", lambda instance: "running")
    assert deploy("VERSION 0.2.0").state == "canceled"
    runner.execute(asked[0], "w")
    assert operations.get(asked[0]).state == "completed"
    assert kept() == []
    assert world.machines == {}


def test_a_deployment_that_was_asked_for_later_makes_the_agent_anew(
    world: World,
) -> None:
    deploy()
    gone = withdraw.request("ada/echo", "1")
    later = world.submit("0.3.0")
    again = operations.submit(
        "deploy",
        title="Deploy",
        subject="ada",
        params={"version": "ada/echo@0.1.0", "owner_name": "ada"},
        account="1",
    )
    runner.execute(gone, "w1")
    runner.execute(later, "w2")
    runner.execute(again, "w3")
    assert "no version" in (operations.get(again).error or "")
    assert [r.body["version"] for r in state.select("version")] == ["0.3.0"]


def test_an_instance_that_cannot_go_fails_it_and_the_agent_stays(world: World) -> None:
    deploy()
    world.fail["delete"] = Problem("busy", "libvirt is busy.")
    assert "libvirt is busy" in (delete().error or "")
    assert state.find("agent", "ada/echo")
    world.fail.clear()
    assert delete().state == "completed"
    assert kept() == []


def test_the_short_name_goes_to_the_next_owner_who_deploys(world: World) -> None:
    deploy(owner="ada")
    deploy(owner="bob")
    assert find_agent("echo").id == "ada/echo"
    assert find_agent("echo", "bob").id == "bob/echo"
    delete()
    assert state.find("domain", f"echo.{ZONE}") is None
    assert find_agent("echo").id == "bob/echo"  # there is no other
    deploy("VCPU 2", owner="bob")
    claim = state.find("domain", f"echo.{ZONE}")
    assert claim and claim.body["agent"] == "bob/echo"
    deploy(owner="ada")
    assert find_agent("echo").id == "bob/echo"
    assert find_agent("echo", "ada").id == "ada/echo"


def delete_version(version: str) -> operations.Operation:
    id_ = withdraw.request_version("ada/echo", version, "1")
    runner.execute(id_, "w")
    return operations.get(id_)


def test_a_version_that_nothing_runs_goes_with_its_build(world: World) -> None:
    deploy("VERSION 0.1.0")
    deploy("VERSION 0.2.0\nVCPU 2")
    assert delete_version("0.1.0").state == "completed"
    assert [r.id for r in state.select("version")] == ["ada/echo@0.2.0"]
    assert len(state.select("build")) == 1
    assert version_of(deploy("VCPU 3")) == "0.2.1"
    again = deploy("VERSION 0.1.0\nVCPU 4")
    assert again.state == "failed"
    assert "its number is not given again" in again.error
    assert [r.id for r in state.select("instance", version="0.2.1")]


def test_a_crash_after_the_version_is_made_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy("VERSION 0.1.0")
    deploy("VERSION 0.2.0\nVCPU 2")
    remove = state.remove

    def die(kind: str, id_: str) -> None:
        remove(kind, id_)
        raise Crash

    id_ = withdraw.request_version("ada/echo", "0.1.0", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(state, "remove", die)
        runner.execute(id_, "first")
    runner.Runner().recover()
    runner.execute(id_, "second")
    assert operations.get(id_).state == "completed"
    assert len(state.select("build")) == 1


def test_the_latest_version_and_one_that_runs_stay(
    world: World, settings: Settings
) -> None:
    deploy("VERSION 0.1.0")
    with pytest.raises(Conflict, match="latest version"):
        withdraw.request_version("ada/echo", "0.1.0", "1")
    deploy("VERSION 0.2.0\nVCPU 2")
    settings.images_dir.mkdir(parents=True, exist_ok=True)
    (settings.images_dir / f"{world.digest}.qcow2").touch()
    redeploy("ada/echo@0.1.0")
    with pytest.raises(Conflict, match=r"The instance .* is of ada/echo 0\.1\.0"):
        withdraw.request_version("ada/echo", "0.1.0", "1")
    with pytest.raises(NotFound, match="no version"):
        withdraw.request_version("ada/echo", "9.9.9", "1")


def test_a_version_that_was_deployed_meanwhile_stays(world: World) -> None:
    deploy("VERSION 0.1.0")
    deploy("VERSION 0.2.0\nVCPU 2")
    asked = withdraw.request_version("ada/echo", "0.1.0", "1")
    state.put("deployment", "other", {"agent": "ada/echo", "version": "0.1.0"})
    runner.execute(asked, "w")
    assert "is of ada/echo 0.1.0" in (operations.get(asked).error or "")
    assert state.find("version", "ada/echo@0.1.0")


def test_the_right_on_the_agent_counts() -> None:
    for kind in withdraw.KINDS:
        assert kind.owner("ada/echo@0.1.0", {}) == "ada/echo"
