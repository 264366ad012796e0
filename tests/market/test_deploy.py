"""A deployment's steps, with machines and images that are only noted down."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance import formnet, operations, pack, runner, state, vmm
from appliance.config import Settings
from appliance.market import boot, deploy, handover, lifecycle, orders
from appliance.problems import EngineGone, Problem
from appliance.state.server import StateServer
from appliance.vmm import pci
from tests.vmm import machines

STEPS = [step.name for step in deploy.DEPLOY.steps]


class Crash(BaseException):
    """The process dies here."""


class World:
    """What a deployment does outside: images built, machines by instance."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.builds = 0
        self.digest = "d" * 64
        self.specs: list[vmm.InstanceSpec] = []
        self.machines: dict[str, str] = {}
        self.fail: dict[str, Exception] = {}

    def do(self, name: str, new: str | None) -> Callable[..., None]:
        def act(what: vmm.InstanceSpec | str) -> None:
            id_ = what if isinstance(what, str) else what.id
            if isinstance(what, vmm.InstanceSpec):
                self.specs.append(what)
            if name in self.fail:
                raise self.fail[name]
            if new is None:
                self.machines.pop(id_, None)
            else:
                self.machines[id_] = new

        return act

    def build(self, *of: object) -> SimpleNamespace:
        self.builds += 1
        return SimpleNamespace(digest=self.digest, size_bytes=1)

    def deploy(self, crash: str = "", version: str = "0.1.0") -> operations.Operation:
        id_ = self.submit(version)
        if crash:
            with pytest.raises(Crash):
                runner.execute(id_, "first", lambda _, step: self._die(step, crash))
            runner.Runner().recover()
        runner.execute(id_, "second")
        return operations.get(id_)

    def deploy_text(self, line: str) -> operations.Operation:
        """Deploy an agent whose Formfile has this line besides."""
        id_ = self.submit_text(f"NAME echo\n{line}\nENTRYPOINT true\n")
        runner.execute(id_, "worker")
        return operations.get(id_)

    def submit(self, version: str) -> str:
        return self.submit_text(f"NAME echo\nVERSION {version}\nENTRYPOINT true\n")

    def submit_text(self, formfile: str) -> str:
        path = orders.new_path()
        files = [("Formfile", io.BytesIO(formfile.encode()))]
        return orders.submit(
            orders.Order(None, pack.of_files(files, path), path), "1", "ada"
        )

    @staticmethod
    def _die(step: str, crash: str) -> None:
        if step == crash:
            raise Crash


@pytest.fixture
def world(
    settings: Settings, state_server: StateServer, monkeypatch: pytest.MonkeyPatch
) -> World:
    made = World(settings.data_dir)
    monkeypatch.setattr(pack, "build", made.build)
    monkeypatch.setattr(formnet, "ensure_network", formnet.own_network)
    for name, new in (
        ("create", "off"),
        ("boot", "running"),
        ("shutdown", "off"),
        ("delete", None),
    ):
        monkeypatch.setattr(vmm, name, made.do(name, new))
    monkeypatch.setattr(vmm, "kernel_arguments", lambda base: "quiet")
    monkeypatch.setattr(vmm, "accelerator", lambda config: "tcg")
    monkeypatch.setattr(vmm, "check_capacity", lambda *of: None)
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (True, ""))
    return made


def what_is_there(world: World) -> dict[str, object]:
    """Machines and records, without what differs from one run to the next."""
    (instance,) = state.select("instance")
    (agent,) = state.select("agent")
    return {
        "machines": list(world.machines.values()),
        "state": instance.body["state"],
        "version": (instance.body["version"], agent.body["latest"]),
        "names": {
            d.id: d.body["instance"] == instance.id for d in state.select("domain")
        },
        "deployments": [d.id == instance.id for d in state.select("deployment")],
    }


@pytest.mark.parametrize("boundary", STEPS)
def test_a_crash_after_any_step_changes_nothing(world: World, boundary: str) -> None:
    assert world.deploy(crash=boundary).state == "completed"
    assert what_is_there(world) == {
        "machines": ["running"],
        "state": "healthy",
        "version": ("0.1.0", "0.1.0"),
        "names": {
            "echo.ada.formation.internal": True,
            "echo.formation.internal": True,
        },
        "deployments": [True],
    }
    assert world.builds == 1
    assert not list((world.folder / "contexts").iterdir())
    assert not list((world.folder / "uploads").iterdir())


@pytest.mark.parametrize("step", STEPS[2:])
def test_a_failure_in_any_step_leaves_what_ran_before(
    world: World, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deploy()
    before = what_is_there(world)
    found = next(s for s in deploy.DEPLOY.steps if s.name == step)

    def fail(run: operations.Run) -> None:
        found.do(run)
        raise Problem("no-luck", f"{step} broke after its work")

    # what ran before is released last of all: nothing can fail after that
    monkeypatch.setattr(handover, "_retire_others", lambda run: None)
    broken = operations.Step(found.name, found.title, fail, found.undo)
    steps = tuple(broken if s.name == step else s for s in deploy.DEPLOY.steps)
    kinds = {"deploy": operations.Kind("deploy", steps)}
    monkeypatch.setattr(operations, "kinds", lambda: kinds)
    failed = world.deploy(version="0.2.0")
    assert failed.state == "failed"
    assert f"{step} broke" in json.loads(failed.error or "{}")["detail"]
    assert what_is_there(world) == before
    assert [v.body["version"] for v in state.select("version")] == ["0.1.0"]


def test_a_first_deployment_that_fails_leaves_no_agent(world: World) -> None:
    world.fail["boot"] = Problem("no-luck", "QEMU does not start.")
    assert world.deploy().state == "failed"
    for kind in ("agent", "version", "deployment", "instance", "domain"):
        assert state.select(kind) == []
    assert world.machines == {}


def test_an_old_instance_that_cannot_go_now_goes_later(world: World) -> None:
    world.deploy()
    world.fail["delete"] = Problem("busy", "libvirt is busy.")
    assert world.deploy(version="0.2.0").state == "completed"
    desired = {r.body["version"]: r.body["desired"] for r in state.select("instance")}
    assert desired == {"0.1.0": "deleted", "0.2.0": "running"}


def test_an_engine_that_comes_back_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [EngineGone("libvirt-unavailable", "libvirtd is gone.")]
    boot = vmm.boot

    def once(instance: str) -> None:
        if lost:
            raise lost.pop()
        boot(instance)

    monkeypatch.setattr(vmm, "boot", once)
    done = world.deploy()
    assert done.state == "completed"
    lines = [line for *_, line in operations.log_lines(done.id)]
    assert "waiting: libvirtd is gone." in lines


def test_an_engine_that_stays_away_fails_the_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "ENGINE_WAIT_S", 0.0)
    world.fail["boot"] = EngineGone("libvirt-unavailable", "libvirtd is gone.")
    assert world.deploy().state == "failed"


def test_a_short_name_that_is_taken_stays(world: World) -> None:
    body = {"name": "", "agent": "bob/echo", "instance": "b", "kind": "internal"}
    state.put("domain", "echo.formation.internal", body)
    done = world.deploy()
    assert json.loads(done.result or "{}")["names"] == ["echo.ada.formation.internal"]
    taken = state.find("domain", "echo.formation.internal")
    assert taken and taken.body == body


def test_an_entrypoint_that_keeps_ending_is_told_with_its_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["agent: no such module"] + ["agent: exited with status 1"] * 4
    monkeypatch.setattr(vmm, "console_tail", lambda *of: lines)
    monkeypatch.setattr(vmm, "domain_state", lambda instance: "running")
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (False, "refused"))
    detail = json.loads(world.deploy().error or "{}")["detail"]
    assert "keeps ending: agent: no such module" in detail


def test_a_deletion_in_the_middle_ends_the_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*of: object) -> tuple[bool, str]:
        for record in state.select("instance"):
            state.remove("instance", record.id)
        return True, ""

    monkeypatch.setattr(vmm, "probe_health", gone)
    detail = json.loads(world.deploy().error or "{}")["detail"]
    assert "deleted meanwhile" in detail
    assert state.select("agent") == []


def test_deployments_of_one_agent_go_one_after_the_other(world: World) -> None:
    first, second = world.submit("0.1.0"), world.submit("0.2.0")
    thread = threading.Thread(target=runner.execute, args=(second, "w2"))
    thread.start()
    runner.execute(first, "w1")
    thread.join(30)
    states = [operations.get(id_).state for id_ in (first, second)]
    assert states == ["completed", "completed"]
    (instance,) = state.select("instance")
    assert instance.body["version"] == "0.2.0"


def test_a_full_disk_is_said(world: World) -> None:
    world.fail["create"] = OSError(28, "No space left on device")
    failed = world.deploy()
    assert "the disk is full" in json.loads(failed.error or "{}")["detail"]


def version_of(done: operations.Operation) -> str:
    return str(json.loads(done.result or "{}").get("version", done.error))


def test_a_build_made_again_is_registered_as_another_version(world: World) -> None:
    assert version_of(world.deploy_text("")) == "0.1.0"
    assert version_of(world.deploy_text("")) == "0.1.0"
    world.digest = "e" * 64  # as with --refresh, for newer packages
    assert version_of(world.deploy_text("")) == "0.1.1"
    images = {r.body["version"]: r.body["image"] for r in state.select("version")}
    assert images == {"0.1.0": "d" * 64, "0.1.1": "e" * 64}


@pytest.mark.parametrize("change", ["image", "build"])
def test_a_version_that_is_taken_is_refused_and_stays(
    world: World, change: str
) -> None:
    world.deploy_text("VERSION 2.0.0")
    before = state.find("version", "ada/echo@2.0.0")
    if change == "image":
        world.digest = "e" * 64
    line = "VERSION 2.0.0\nVCPU 2" if change == "build" else "VERSION 2.0.0"
    failed = world.deploy_text(line)
    problem = json.loads(failed.error or "{}")
    assert (failed.state, problem["status"]) == ("failed", 409)
    assert "raise VERSION" in problem["detail"]
    assert before is not None
    now = state.find("version", "ada/echo@2.0.0")
    assert now is not None
    assert now.body == before.body


def test_an_older_version_does_not_become_the_latest(world: World) -> None:
    for version in ("1.0.0", "1.0.0-rc.1"):
        assert version_of(world.deploy(version=version)) == version
    (agent,) = state.select("agent")
    assert agent.body["latest"] == "1.0.0"


def test_a_changed_password_needs_no_build_and_is_in_the_next_seed(
    world: World,
) -> None:
    shadows = []
    for password in ("first-word", "other-word"):
        line = f"USER username:bob passwd:{password} chpasswd_expire:on"
        assert version_of(world.deploy_text(line)) == "0.1.0"
        (entry,) = world.specs[-1].shadow
        assert entry.startswith("bob:$")
        assert world.specs[-1].expire == ("bob",)
        shadows.append(entry)
    assert shadows[0] != shadows[1]
    records = [
        r.body for k in ("version", "instance", "agent") for r in state.select(k)
    ]
    assert not any(s.split(":")[1] in json.dumps(records) for s in shadows)
    assert len({r.body["build_id"] for r in state.select("version")}) == 1


def test_a_locked_password_is_set_locked(world: World) -> None:
    world.deploy_text("USER username:bob passwd:some-word lock_passwd:on")
    assert world.specs[-1].shadow[0].startswith("bob:!$")


def test_no_room_is_said_and_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*of: object) -> None:
        raise Problem("no-room", "4096 MiB of memory are asked for and 12 are free")

    monkeypatch.setattr(vmm, "check_capacity", full)
    failed = world.deploy()
    assert "12 are free" in json.loads(failed.error or "{}")["detail"]
    for kind in ("agent", "version", "deployment", "instance", "domain"):
        assert state.select(kind) == []
    assert world.machines == {}


def test_a_machine_that_went_off_with_its_node_is_booted_again(world: World) -> None:
    id_ = world.submit("0.1.0")

    def stop(_: str, step: str) -> None:
        if step == "boot":
            raise Crash

    with pytest.raises(Crash):
        runner.execute(id_, "first", stop)
    world.machines[id_] = "off"
    runner.Runner().recover()
    runner.execute(id_, "second")
    assert operations.get(id_).state == "completed"
    assert world.machines[id_] == "running"


def test_an_agent_that_never_gets_healthy_is_told_with_its_last_lines(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = settings.vmm.model_copy(update={"boot_timeout_s": 0.3})
    changed = settings.model_copy(update={"vmm": short})
    monkeypatch.setattr(boot, "settings", lambda: changed)
    monkeypatch.setattr(vmm, "probe_health", lambda *of: (False, "refused"))
    monkeypatch.setattr(vmm, "domain_state", lambda instance: "running")
    monkeypatch.setattr(
        vmm, "console_tail", lambda *of: ["agent: loading", "agent: 7 %"]
    )
    failed = world.deploy()
    detail = json.loads(failed.error or "{}")["detail"]
    assert "refused" in detail
    assert detail.endswith("agent: loading / agent: 7 %")
    assert world.machines == {}


def test_a_deletion_cancels_the_deployment_that_is_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.submit("0.1.0")
    asked: list[str] = []

    def delete(*of: object) -> tuple[bool, str]:
        if not asked:
            asked.append(lifecycle.request(first, "delete", "1"))
        return False, "it boots"

    monkeypatch.setattr(vmm, "probe_health", delete)
    monkeypatch.setattr(vmm, "domain_state", lambda instance: "running")
    runner.execute(first, "w")
    assert operations.get(first).state == "canceled"
    runner.execute(asked[0], "w")
    assert operations.get(asked[0]).state == "completed"
    assert state.select("instance") == state.select("agent") == []
    assert world.machines == {}


def redeploy(version: str) -> operations.Operation:
    id_ = operations.submit(
        "deploy",
        title="Deploy",
        subject="ada",
        params={"version": version, "owner_name": "ada"},
        account="1",
    )
    runner.execute(id_, "w")
    return operations.get(id_)


def test_an_agent_stays_its_owners_whoever_deploys_it(
    world: World, settings: Settings
) -> None:
    state.put("account", "01ada", {"name": "ada", "roles": ["developer"]})
    world.deploy(version="0.1.0")
    image = settings.images_dir / f"{'d' * 64}.qcow2"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    assert redeploy("ada/echo@0.1.0").state == "completed"
    world.deploy(version="0.2.0")
    agent = state.find("agent", "ada/echo")
    assert agent
    assert agent.body["owner"] == "01ada"


def test_an_older_version_comes_back_by_the_image_that_is_there(
    world: World, settings: Settings
) -> None:
    world.deploy(version="0.1.0")
    world.deploy(version="0.2.0")
    image = settings.images_dir / f"{'d' * 64}.qcow2"
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    done = redeploy("ada/echo@0.1.0")
    assert done.state == "completed"
    (instance,) = state.select("instance")
    assert instance.body["version"] == "0.1.0"
    assert world.builds == 2
    domain = state.find("domain", "echo.formation.internal")
    assert domain and domain.body["instance"] == done.id


def test_a_version_without_its_image_is_refused_and_the_old_one_stays(
    world: World,
) -> None:
    world.deploy(version="0.1.0")
    before = what_is_there(world)
    failed = redeploy("ada/echo@0.1.0")
    assert "removed to make room" in json.loads(failed.error or "{}")["detail"]
    assert what_is_there(world) == before
    assert "no version" in (redeploy("ada/echo@9.0.0").error or "")


@pytest.fixture
def machine(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> machines.Machine:
    made = machines.Machine(tmp_path / "machine")
    monkeypatch.setattr(pci, "ROOT", made.root)
    return made


RTX = {
    "address": machines.RTX,
    "name": "NVIDIA AD102 [GeForce RTX 4090]",
    "along": [machines.AUDIO],
}


def test_a_gpu_is_given_with_what_goes_along(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    done = world.deploy_text('GPU "RTX 4090:1"')
    assert done.state == "completed"
    (instance,) = state.select("instance")
    assert instance.body["gpus"] == [RTX]
    assert world.specs[-1].gpus == (machines.RTX, machines.AUDIO)
    lines = [line for *_, line in operations.log_lines(done.id)]
    assert "GPU NVIDIA AD102 [GeForce RTX 4090] at 0000:01:00.0" in lines


def test_who_asks_for_no_gpu_gets_none(world: World, machine: machines.Machine) -> None:
    machine.add_rtx()
    world.deploy()
    (instance,) = state.select("instance")
    assert instance.body["gpus"] == []
    assert world.specs[-1].gpus == ()


def test_a_gpu_that_is_not_there_is_said_and_leaves_nothing(
    world: World, machine: machines.Machine
) -> None:
    failed = world.deploy_text("GPU RTX")
    assert json.loads(failed.error or "{}")["detail"] == (
        "No GPU whose name begins with RTX is free on this node; it has none."
    )
    for kind in ("agent", "version", "deployment", "instance", "domain"):
        assert state.select(kind) == []
    assert world.machines == {}


def test_nothing_is_built_for_a_gpu_that_is_not_there(
    world: World, machine: machines.Machine
) -> None:
    assert world.deploy_text("GPU RTX").state == "failed"
    assert world.builds == 0


def test_a_gpu_that_goes_during_the_build_is_said_and_leaves_nothing(
    world: World, machine: machines.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add_rtx()
    build = pack.build

    def slow(*of: Any) -> Any:
        monkeypatch.setattr(pci, "ROOT", machine.root / "elsewhere")
        return build(*of)

    monkeypatch.setattr(pack, "build", slow)
    failed = world.deploy_text("GPU RTX")
    assert "it has none" in json.loads(failed.error or "{}")["detail"]
    for kind in ("agent", "version", "deployment", "instance", "domain"):
        assert state.select(kind) == []
    assert world.machines == {}


def test_without_an_iommu_the_cure_is_said(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx(group=None)
    failed = world.deploy_text("GPU RTX")
    assert "intel_iommu=on" in json.loads(failed.error or "{}")["detail"]
    assert state.select("instance") == []


def test_a_gpu_is_held_until_its_instance_goes(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    other = "NAME other\nGPU RTX\nENTRYPOINT true\n"
    first = world.deploy_text("GPU RTX").id
    state.change("instance", first, desired="stopped", state="stopped")
    failed = world.submit_text(other)
    runner.execute(failed, "w")
    detail = json.loads(operations.get(failed).error or "{}")["detail"]
    assert "(in use by ada/echo)" in detail
    vmm.forget(first)
    done = world.submit_text(other)
    runner.execute(done, "w")
    assert operations.get(done).state == "completed"


def test_another_node_with_the_same_addresses_does_not_hold_them(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    body = {"agent": "bo/x", "node": "another", "address": "", "gpus": [RTX]}
    state.put("instance", "far", body)
    assert world.deploy_text("GPU RTX").state == "completed"


def test_the_only_gpu_is_handed_on_to_the_next_version(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    first = world.deploy_text("VERSION 0.1.0\nGPU RTX").id
    seen: list[dict[str, str]] = []
    boot = vmm.boot

    def look(instance: str) -> None:
        seen.append(dict(world.machines))
        boot(instance)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vmm, "boot", look)
        second = world.deploy_text("VERSION 0.2.0\nGPU RTX")
    assert second.state == "completed"
    assert seen[0][first] == "off"
    (instance,) = state.select("instance")
    assert (instance.id, instance.body["gpus"]) == (second.id, [RTX])


def test_a_gpu_goes_back_when_the_next_version_fails(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    first = world.deploy_text("VERSION 0.1.0\nGPU RTX").id
    world.fail["boot"] = Problem("no-luck", "QEMU does not start.")
    assert world.deploy_text("VERSION 0.2.0\nGPU RTX").state == "failed"
    (instance,) = state.select("instance")
    assert (instance.id, instance.body["desired"]) == (first, "running")
    assert instance.body["gpus"] == [RTX]


def test_nobody_gets_back_what_the_failing_version_still_has(
    world: World, machine: machines.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.add_rtx()
    first = world.deploy_text("VERSION 0.1.0\nGPU RTX").id
    change, seen = state.change, []

    def watch(kind: str, id_: str, **members: Any) -> state.Record:
        if (id_, members.get("desired")) == (first, "running"):
            seen.append(dict(world.machines))
        return change(kind, id_, **members)

    def never(*of: object) -> None:
        raise Problem("never-healthy", "It hangs.")

    monkeypatch.setattr(state, "change", watch)
    monkeypatch.setattr(vmm, "probe_health", never)
    second = world.deploy_text("VERSION 0.2.0\nGPU RTX")
    assert second.state == "failed"
    assert seen == [{first: "off", second.id: "off"}]


def test_a_second_gpu_leaves_the_older_version_running_meanwhile(
    world: World, machine: machines.Machine
) -> None:
    machine.add_rtx()
    machine.add("0000:03:00.0", "10de:2684", "030000", 3)
    world.deploy_text("VERSION 0.1.0\nGPU RTX")
    second = world.deploy_text("VERSION 0.2.0\nGPU RTX")
    assert world.specs[-1].gpus == ("0000:03:00.0",)
    assert json.loads(second.memory)["held"] == []
