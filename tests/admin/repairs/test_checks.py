"""Each check finds what it is for, and what it mends is well afterwards."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import (
    clock,
    config,
    events,
    operations,
    reloading,
    runner,
    state,
    vmm,
)
from appliance import supervision as keepers
from appliance.admin import accounts, caddy, processes, settings_history
from appliance.admin.alerts import delivery, signals, targets
from appliance.admin.repairs import looking, mending
from appliance.admin.repairs.checks import instances, kvm, space
from appliance.admin.repairs.issue import Issue
from appliance.admin.rights import authorise
from appliance.config import Settings
from appliance.operations import Operation
from appliance.pack.images import image_file
from appliance.service import Check, Verdict, choose
from appliance.state.server import StateServer
from appliance.supervision import Kept
from appliance.vmm import libvirt, probe
from appliance.wishes import ask
from tests.conftest import say

STRAY = "0" * 26
Find = Callable[[str], list[Issue]]
Mend = Callable[[str], Operation]


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What keeps the processes, with what it was asked to start."""
    found = SimpleNamespace(name="none", processes=[], started=[])
    found.kept = lambda: found.processes
    found.start = found.started.append
    monkeypatch.setattr(keepers, "current", lambda *of: found)
    return found


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The machines that libvirt has."""
    found: dict[str, str] = {}
    monkeypatch.setattr(libvirt, "states", lambda: dict(found))
    monkeypatch.setattr(libvirt, "undefine", lambda id_: found.pop(id_, None))
    return found


@pytest.fixture
def node(settings: Settings, records: StateServer, machines: Any) -> Settings:
    choose(settings, [])
    return settings


@pytest.fixture
def find(node: Settings) -> Find:
    return lambda name: list(looking.repairs()[name].find(node))


@pytest.fixture
def mend(node: Settings) -> Mend:
    """Mend an issue as formation-jobs does."""
    ada = accounts.create("ada", "", ("operator",))

    def run(id_: str) -> Operation:
        looking.look(node, [id_.partition(":")[0]])
        made = mending.request(id_, ada.id, True)
        runner.execute(made, "jobs", authorise=authorise)
        return operations.get(made)

    return run


def put_instance(id_: str, **members: Any) -> None:
    body = {
        "agent": "ada/echo",
        "owner_name": "ada",
        "name": "echo",
        "version": "0.1.0",
        "desired": "running",
        "state": "healthy",
        "reason": "",
        "image": "a" * 64,
    }
    state.put("instance", id_, body | members)


def test_every_module_is_a_check_and_looks_on_a_fresh_node(
    node: Settings, keeper: SimpleNamespace
) -> None:
    files = Path(instances.__file__).parent.glob("[a-z]*.py")
    assert set(looking.repairs()) == {file.stem for file in files}
    caddy.ensure_certificate(node)
    assert looking.look(node) == {}


def test_a_package_adds_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    added = SimpleNamespace(name="roof")
    monkeypatch.setattr(looking, "plugins", lambda group: {group: added})
    looking.repairs.cache_clear()
    assert looking.repairs()["roof"] is added
    looking.repairs.cache_clear()


def test_a_package_that_is_broken_leaves_the_nodes_own_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(group: str) -> None:
        raise ImportError("no module named roof")

    monkeypatch.setattr(looking, "plugins", fail)
    looking.repairs.cache_clear()
    assert "space" in looking.repairs()
    looking.repairs.cache_clear()


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_fuller_disk_is_never_less_bad(one: float, other: float) -> None:
    order = [None, "warning", "critical"]
    low, high = sorted((one, other))
    assert order.index(space.how_bad(low)) <= order.index(space.how_bad(high))


def test_a_full_disk_offers_what_can_be_freed(
    find: Find, mend: Mend, node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk = namedtuple("Disk", "total used free percent")
    image = image_file(node.images_dir, "b" * 64)

    def usage(path: str) -> Disk:
        return Disk(100, 98, 2, 98.0 if image.exists() else 50.0)

    monkeypatch.setattr(psutil, "disk_usage", usage)
    assert find("space") == []
    image.write_bytes(b"x" * 9000)
    (full,) = find("space")
    assert (full.severity, full.subject) == ("critical", "data")
    assert full.fix is not None and full.fix.button.startswith("Free ")
    assert mend("space:data").state == "completed"
    assert not image.exists()


def test_a_clock_that_went_back_or_that_nobody_keeps_is_found(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.admin.repairs.checks import clock as check

    monkeypatch.setattr(check, "kernel_clock", lambda: 0)
    events.happened("something", service="s")
    assert find("clock") == []
    monkeypatch.setattr(clock, "now", lambda: 1e9)
    assert [one.subject for one in find("clock")] == ["behind"]
    monkeypatch.undo()
    monkeypatch.setattr(check, "kernel_clock", lambda: signals.UNSYNCHRONISED)
    assert [one.title for one in find("clock")] == ["Nobody keeps the clock"]


def test_emulation_is_found_unless_it_is_wished(
    find: Find, node: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(vmm, "known_accelerator", lambda of: "tcg")
    assert [one.title for one in find("kvm")] == ["Machines are emulated"]
    monkeypatch.setattr(vmm, "known_accelerator", lambda of: None)
    assert find("kvm") == []
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    for wish, found in (("tcg", []), ("kvm", ["KVM is missing"])):
        chosen = node.vmm.model_copy(update={"accelerator": wish})
        wished = node.model_copy(update={"vmm": chosen})
        assert [one.title for one in kvm.find(wished)] == found


def test_a_new_probe_forgets_the_one_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.base_dir / "debian-13").mkdir()
    for boots, word in ((False, "tcg"), (True, "kvm")):
        monkeypatch.setattr(probe, "boots_under_kvm", lambda base, boots=boots: boots)
        assert probe.probe_again(settings) == word
        assert probe.known_accelerator(settings) == word


def test_an_image_and_a_base_that_are_gone_are_found(
    find: Find, node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"agent": "ada/echo", "version": "0.1.0", "formfile": {"base": "debian:13"}}
    state.put("version", "ada/echo@0.1.0", body)
    put_instance("i1")
    monkeypatch.setattr(vmm, "backing_images", lambda of: {"i1": "a" * 64})
    image, base = find("images")
    assert (image.subject, image.fix) == ("i1", None)
    assert "ada/echo" in image.text
    assert (base.subject, base.severity) == ("debian-13", "critical")
    assert "manifest.json, vmlinuz, initrd.img" in base.text
    image_file(node.images_dir, "a" * 64).touch()
    folder = node.base_dir / "debian-13"
    folder.mkdir()
    for name in ("manifest.json", "vmlinuz", "initrd.img"):
        (folder / name).touch()
    assert find("images") == []


def test_a_base_is_made_again_as_a_whole(
    find: Find, mend: Mend, node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance import pack

    body = {"agent": "ada/echo", "version": "0.1.0", "formfile": {"base": "debian:13"}}
    state.put("version", "ada/echo@0.1.0", body)
    put_instance("i1")
    folder = node.base_dir / "debian-13"
    folder.mkdir()
    (folder / "manifest.json").touch()  # of a base whose kernel was lost

    def make(name: str, where: Path, *of: object) -> None:
        assert (name, list(where.iterdir())) == ("debian:13", [])
        for file in ("manifest.json", "vmlinuz", "initrd.img"):
            (where / file).touch()

    monkeypatch.setattr(pack, "ensure_base", make)
    assert mend("images:debian-13").state == "completed"


def test_a_port_of_another_program_is_found(
    node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.admin.listeners import Listener
    from appliance.admin.repairs.checks import ports

    there = [Listener("tcp", "0.0.0.0", 8443, os.getpid())]  # noqa: S104
    monkeypatch.setattr(ports, "listeners", lambda: there)
    (found,) = ports.find(node)
    assert found.subject == "tcp-8443"
    assert f"process {os.getpid()}" in found.text
    assert "http.https_port" in found.cure
    link = {"kind": "tcp", "local": "0.0.0.0:8443"}
    seen = {"processes": [{"name": "caddy", "connections": [link]}]}
    monkeypatch.setattr(processes, "look", lambda of: seen)
    assert list(ports.find(node)) == []  # it began since the report was written
    there[:] = [Listener("udp", "127.0.0.1", node.dns.port)]
    assert list(ports.find(node)) == []  # form-dns is not chosen
    choose(node, ["form-dns"])
    assert [one.subject for one in ports.find(node)] == [f"udp-{node.dns.port}"]


def test_a_certificate_that_cannot_be_read_or_ends_is_made_anew(
    find: Find, mend: Mend, node: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (unread,) = find("certificate")
    assert (unread.severity, unread.title) == (
        "critical",
        "The certificate cannot be read",
    )
    assert unread.fix is not None and "fingerprint" in unread.fix.loses
    assert mend("certificate").state == "completed"
    assert find("certificate") == []
    file, key = caddy.certificate_files(node)
    assert key.stat().st_mode & 0o777 == 0o640
    other = key.read_bytes()
    caddy.renew_certificate(node)
    key.write_bytes(other)
    assert "key of another certificate" in find("certificate")[0].text
    caddy.renew_certificate(node)
    for days, title in ((3620, "ends soon"), (3700, "has expired")):
        made_earlier(monkeypatch, days)
        assert title in find("certificate")[0].title


def made_earlier(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """So many days have gone since the certificate was made."""
    from appliance.admin.repairs.checks import certificate

    later = datetime.now(UTC) + timedelta(days=days)
    now = SimpleNamespace(now=lambda zone: later)
    monkeypatch.setattr(certificate, "datetime", now)


def test_machines_that_no_record_knows_are_removed(
    find: Find, mend: Mend, node: Settings, machines: dict[str, str]
) -> None:
    known = clock.new_id()
    put_instance(known)
    machines.update({known: "running", STRAY: "running", "by-hand": "off"})
    (node.instances_dir / STRAY).mkdir()
    assert [one.subject for one in find("machines")] == [STRAY]
    assert mend(f"machines:{STRAY}").state == "completed"
    assert sorted(machines) == sorted([known, "by-hand"])
    assert not (node.instances_dir / STRAY).exists()


def test_many_machines_that_no_record_knows_are_one_issue(
    find: Find, mend: Mend, node: Settings, machines: dict[str, str]
) -> None:
    machines.update({f"{number:026}": "off" for number in range(5)})
    (found,) = find("machines")
    assert (found.title, found.subject) == ("5 machines that no record knows", "")
    assert f"{4:026} (off)" in found.text
    assert mend("machines").state == "completed"
    assert machines == {}


def test_a_machine_that_came_after_the_confirmation_is_left_alone(
    mend: Mend,
    node: Settings,
    machines: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines.update({f"{number:026}": "off" for number in range(5)})
    execute = runner.execute

    def later(*of: Any, **named: Any) -> None:
        machines[f"{9:026}"] = "running"
        execute(*of, **named)

    monkeypatch.setattr(runner, "execute", later)
    assert mend("machines").state == "failed"
    assert len(machines) == 6


def test_the_machine_of_a_deployment_at_work_is_no_stray(
    find: Find, machines: dict[str, str]
) -> None:
    id_ = operations.submit("deploy", title="d", subject="ada", params={}, account="a")
    machines[id_] = "running"
    assert find("machines") == []


@pytest.mark.parametrize(
    ("desired", "now", "machine", "verb"),
    [
        ("running", "healthy", "running", ""),
        ("running", "failed", "absent", "deploy"),
        ("running", "unhealthy", "off", "start"),
        ("running", "unhealthy", "running", "reboot"),
        ("stopped", "stopped", "off", ""),
        ("stopped", "stopped", "absent", ""),
        ("stopped", "healthy", "running", "stop"),
        ("deleted", "healthy", "running", ""),
    ],
)
def test_what_brings_wish_and_machine_together(
    desired: str, now: str, machine: str, verb: str
) -> None:
    assert instances.wanted(desired, now, machine) == verb


def test_an_instance_that_stays_apart_is_found_after_a_while(
    find: Find, machines: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_instance("i1", state="unhealthy", reason="it was off")
    machines["i1"] = "off"
    assert find("instances") == []
    monkeypatch.setattr(instances, "SETTLES_S", -1.0)
    (found,) = find("instances")
    assert found.fix is not None and found.fix.button == "Start it"
    assert "it was off" in found.text
    operations.submit("start", title="s", subject="i1", params={}, account="a")
    assert find("instances") == []


def test_a_wrong_settings_file_goes_back_to_the_last_good_one(
    find: Find, mend: Mend
) -> None:
    path = config.config_file()
    assert find("settings") == []
    path.write_text("[dns]\nttl = 'often'\n")
    (wrong,) = find("settings")
    assert "dns.ttl: It must be a whole number." in wrong.text
    assert wrong.fix is None  # the node never wrote one
    good = "# mine\n[dns]\nttl = 30\n"
    settings_history.note("ada", "", "o1", "", good)
    assert mend("settings").state == "completed"
    assert path.read_text() == good
    aside = path.with_name("formation.toml.wrong")
    assert "often" in aside.read_text()
    assert aside.stat().st_mode & 0o777 == 0o600


def test_a_process_that_did_not_take_the_settings_is_found(
    find: Find, node: Settings
) -> None:
    reloading.write(node, "web", reloading.Report(trouble="http.port is wrong"))
    (found,) = find("settings")
    assert found.subject == "web"
    assert "http.port is wrong" in found.text


def test_settings_that_wait_for_a_restart_are_found(find: Find, node: Settings) -> None:
    was = reloading.started(node) | {"vmm": {"uri": "test:///default"}}
    reloading.write(node, "jobs", reloading.Report(started=was))
    (found,) = find("restarts")
    assert (found.subject, found.severity) == ("jobs", "info")
    assert "vmm.uri" in found.text
    assert found.fix is not None


def test_failed_processes_are_found(find: Find, keeper: SimpleNamespace) -> None:
    keeper.processes = [
        Kept("dns", "failed", said="exited too quickly"),
        Kept("caddy", "stopped"),
        Kept("web", "running", 1),
    ]
    (found,) = find("processes")
    assert found.subject == "dns"
    assert "exited too quickly" in found.text and "No name is answered" in found.text


def test_services_that_should_run_and_do_not_are_found(
    find: Find, node: Settings
) -> None:
    choose(node, ["form-dns", "formnet"])
    assert find("services") == []
    say(node, "form-dns", "failed", "the port is taken")
    say(node, "formnet", "degraded", "a moment ago")
    (found,) = find("services")
    assert (found.subject, found.severity) == ("form-dns", "critical")
    assert "the port is taken" in found.text
    ask(node, "form-dns", run=False)
    assert find("services") == []


def test_alerts_that_do_not_arrive_are_found(find: Find, node: Settings) -> None:
    body = '{"url": "https://hook.example"}'
    targets.Row.create(name="ops", kind="ntfy", body=body, changed=0)
    rows = {"message": "m", "target": "ops", "body": "{}", "next": 0, "created": 0}
    assert find("deliveries") == []
    delivery.Delivery.create(**rows, state="failed", tries=8, outcome="answered 500")
    (found,) = find("deliveries")
    assert "answered 500" in found.text
    delivery.Delivery.create(**rows, state="delivered", tries=1, outcome="answered 200")
    assert find("deliveries") == []


def test_images_that_belong_to_nothing_for_a_day_are_deleted(
    find: Find, mend: Mend, node: Settings
) -> None:
    new, old, used = (
        image_file(node.images_dir, digit * 64) for digit in ("1", "2", "3")
    )
    for file in (new, old, used):
        file.write_bytes(b"x" * 9000)
    for file in (old, used):
        os.utime(file, (0, 0))
    put_instance("i1", image="3" * 64)
    (found,) = find("orphans")
    assert "1 image is" in found.text
    assert mend("orphans").state == "completed"
    assert (new.exists(), old.exists(), used.exists()) == (True, False, True)


def test_what_other_checks_say_is_told(
    find: Find,
    mend: Mend,
    keeper: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from appliance.admin.repairs.checks import machine

    def look(settings: Settings) -> Verdict:
        return Verdict(bool(keeper.started), "libvirt is not there", "Start it.")

    checks = (
        Check("libvirt", "libvirt", look),
        Check("roof", "Roof", lambda of: Verdict(True, "it is old", "", True)),
        Check("later", "Later", lambda of: Verdict(True, "wait", "", True, True)),
        Check("cpu", "CPU", lambda of: Verdict(False, "one CPU", "")),
    )
    monkeypatch.setattr(machine, "all_checks", lambda: checks)
    monkeypatch.setattr(machine, "libvirt", look)
    found = {one.subject: one.severity for one in find("machine")}
    assert found == {"libvirt": "critical", "roof": "warning"}
    assert mend("machine:libvirt").state == "completed"
    assert keeper.started == ["libvirtd"]


def test_who_is_an_operator_without_a_log_in_is_told(node: Settings) -> None:
    def subjects(**auth: Any) -> list[str]:
        trusting = node.auth.model_copy(update=auth)
        told = looking.repairs()["trust"].find(
            node.model_copy(update={"auth": trusting})
        )
        return [issue.subject for issue in told]

    assert subjects() == []
    assert subjects(
        loopback_trust="operator",
        trusted_addresses=["192.0.2.0/24", "2001:db8::/64=operator"],
        trusted_nodes=[f"{'a' * 64}=operator", "b" * 64],
    ) == [
        "auth.loopback_trust-everybody_on_this_machine",
        "auth.trusted_addresses-2001_db8___64",
        f"auth.trusted_nodes-{'a' * 64}",
    ]
    assert subjects(loopback_trust="auditor") == []
