"""A guest boots, applies its seed, keeps its agent running and ends in order."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from .conftest import Boot
from .machine import Machine

pytestmark = pytest.mark.vm


def test_console_tells_the_boot_in_order(guest: Machine) -> None:
    guest.wait_line("agent: said")
    told = [line for line in guest.lines if line.startswith("formation: ")]
    assert told[:4] == [
        "formation: kernel up",
        "formation: network 10.0.2.15",
        "formation: volume /data",
        "formation: agent started",
    ]


def test_agent_has_user_folder_and_environment(guest: Machine) -> None:
    environment = guest.get("/env").splitlines()
    assert "GREETING=it's on" in environment
    assert "TOKEN=s3 cret" in environment
    assert "HOME=/usr/sbin" in environment
    assert guest.get("/pwd") == "/srv\n"
    assert guest.get("/id").startswith("uid=1(daemon) gid=1(daemon)")


def test_output_reaches_console_and_log(guest: Machine) -> None:
    assert guest.wait_line("agent: said") == "agent: said it's on"
    assert "said it's on" in guest.shell("cat /var/log/agent.log")


def test_guest_agent_answers(guest: Machine) -> None:
    assert guest.ask("guest-ping") == {}


def test_seed_is_applied(guest: Machine) -> None:
    assert guest.shell("cat /proc/sys/kernel/hostname") == "guest-one\n"
    assert guest.shell("cat /etc/resolv.conf") == "nameserver 10.0.2.3\n"
    assert "10.0.2.15 guest-one" in guest.shell("cat /etc/hosts")
    assert guest.shell("stat -c %a /run/formation/seed") == "700\n"
    assert guest.shell("cut -d: -f2,3 /etc/shadow | head -n 1") == "$6$salt$hash:0\n"
    left = guest.shell("ls /run/formation/seed").split()
    assert not {"shadow", "expire", "entropy"} & set(left)


def test_root_grows_to_the_disk(guest: Machine) -> None:
    mebibytes = int(guest.shell("df -m / | tail -n 1 | awk '{print $2}'"))
    assert mebibytes > 4500


def test_volume_is_formatted_and_mounted(guest: Machine) -> None:
    assert "/data ext4" in guest.shell("cat /proc/mounts")


def test_orphans_are_reaped(guest: Machine) -> None:
    guest.shell("(sleep 0.1 & sleep 0.1 &) ; sleep 0.3")
    assert guest.shell("grep -l '^State:.Z' /proc/[0-9]*/status") == ""


def test_agent_starts_again_when_it_dies(guest: Machine) -> None:
    seen = len(guest.lines)
    guest.shell("kill -9 $(cat /tmp/www/pid)")
    line = guest.wait_line("agent: exited", seen)
    assert line.startswith("agent: exited with status 137, restarting in ")
    guest.wait_line("formation: agent started", seen)
    assert "GREETING" in guest.get("/env")


def test_log_is_bounded_and_console_limited(guest: Machine) -> None:
    flood = "seq 1 900000 >/run/formation/agent.pipe"
    guest.shell(flood)
    guest.wait_line("agent: (")
    sizes = guest.shell("stat -c %s /var/log/agent.log /var/log/agent.log.1").split()
    assert len(sizes) == 2
    assert all(int(size) < 4_300_000 for size in sizes)


def test_power_button_stops_the_agent_first(boot: Boot) -> None:
    machine = boot()
    machine.get("/env")
    print(f"create to HTTP: {time.monotonic() - machine.began:.2f} s")
    machine.press_power_button()
    assert machine.wait_off() < 5
    machine.reader.join()
    assert machine.lines.index("agent: stopped") < machine.lines.index(
        "formation: down"
    )


def test_guest_agent_reboots_and_shuts_down(boot: Boot) -> None:
    machine = boot()
    machine.get("/env")
    machine.shell("echo kept >/data/note; touch /etc/mark")
    seen = len(machine.lines)
    reboot: dict[str, object] = {"execute": "guest-shutdown"}
    reboot["arguments"] = {"mode": "reboot"}
    send(machine.qga, reboot)
    machine.wait_line("formation: kernel up", seen)
    machine.wait_line("formation: agent started", seen)
    machine.get("/env")
    assert machine.shell("cat /data/note; ls /etc/mark") == "kept\n/etc/mark\n"
    send(machine.qga, {"execute": "guest-shutdown"})
    assert machine.wait_off() < 5


def send(path: Path, request: dict[str, object]) -> None:
    """A request that the guest agent never answers."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.sendall(json.dumps(request).encode() + b"\n")
        link.settimeout(0.5)
        try:
            link.recv(1)
        except TimeoutError:
            return
