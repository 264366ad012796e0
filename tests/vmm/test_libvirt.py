"""The connection to libvirt, against its own test driver."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import libvirt as bindings
import pytest

from appliance import config
from appliance.problems import EngineGone, Unavailable
from appliance.vmm import libvirt

XML = """<domain type="test"><name>formation-one</name><memory>8192</memory>
<os><type>hvm</type></os></domain>"""


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FORMATION_VMM__URI", "test:///default")
    config.settings.cache_clear()
    monkeypatch.setattr(libvirt, "_connection", None)
    yield
    config.settings.cache_clear()


def test_a_domain_from_definition_to_nothing(driver: None) -> None:
    libvirt.define(XML)
    assert libvirt.state("one") == "off"
    libvirt.start("one")
    libvirt.start("one")
    assert libvirt.states() == {"one": "running"}
    libvirt.undefine("one")
    libvirt.undefine("one")
    assert libvirt.state("one") == "absent"


@pytest.mark.parametrize("end", ["ask_shutdown", "destroy", "undefine"])
def test_who_ends_a_domain_that_another_ended_meanwhile_is_not_told_so(
    driver: None, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    libvirt.define(XML)
    libvirt.start("one")
    with libvirt.connected() as connection:
        found = libvirt._find(connection, "one")
    libvirt.undefine("one")
    monkeypatch.setattr(libvirt, "_find", lambda connection, instance: found)
    getattr(libvirt, end)("one")
    with pytest.raises(Unavailable, match="Domain not found"):
        libvirt.guest_agent_answers("one")


def test_what_happens_to_a_domain_is_told(driver: None) -> None:
    told = threading.Event()
    libvirt.on_change(told.set)
    libvirt.define(XML)
    libvirt.start("one")
    assert told.wait(10)
    libvirt.undefine("one")


def test_an_absent_libvirtd_is_an_engine_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORMATION_VMM__URI", "qemu+unix:///system?socket=/nowhere")
    config.settings.cache_clear()
    monkeypatch.setattr(libvirt, "_connection", None)
    with pytest.raises(EngineGone, match="libvirt"):
        libvirt.states()
    config.settings.cache_clear()


def test_other_errors_are_not() -> None:
    assert bindings.VIR_FROM_QEMU not in libvirt.GONE


def test_stats_of_running_domains_only(driver: None) -> None:
    libvirt.define(XML)
    assert libvirt.stats() == {}
    libvirt.start("one")
    assert list(libvirt.stats()) == ["one"]
    libvirt.undefine("one")


def test_what_libvirt_does_not_say_is_left_out() -> None:
    assert libvirt.measured({"state.state": 1}) == {}


def test_measures_are_those_of_all_disks_and_interfaces() -> None:
    values = {
        "cpu.time": 8_000_000_000,
        "vcpu.current": 2,
        "balloon.rss": 2048,
        "net.count": 1,
        "net.0.rx.bytes": 7,
        "block.count": 2,
        "block.0.rd.bytes": 1,
        "block.0.wr.bytes": 2,
        "block.1.rd.bytes": 10,
    }
    assert libvirt.measured(values) == {
        "cpu": 400.0,
        "memory": 2048 * 1024.0,
        "net_in": 7.0,
        "disk_read": 11.0,
        "disk_written": 2.0,
    }


@pytest.mark.parametrize("said", ["connected", "disconnected", ""])
def test_the_guest_agents_channel_says_whether_it_answers(said: str) -> None:
    state = f' state="{said}"' if said else ""
    target = f'<target type="virtio" name="org.qemu.guest_agent.0"{state}/>'
    others = '<target type="virtio" name="com.redhat.spice.0" state="connected"/>'
    channels = "".join(f"<channel>{t}</channel>" for t in (others, target))
    xml = f"<domain><devices>{channels}</devices></domain>"
    assert libvirt.agent_state(xml) == said
    assert libvirt.agent_state("<domain/>") == ""
