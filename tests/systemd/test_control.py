"""Processes kept by a real systemd: seen, started, ended, reloaded, limited."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest

from appliance import supervision
from appliance.config import settings
from appliance.problems import EngineGone, NotFound
from appliance.provisions import Limits
from appliance.supervision import Kept, Systemd

pytestmark = pytest.mark.vm
RELOADS = Path("/run/reloads")
UNIT = r"""[Service]
ExecStart=/bin/sh -c 'trap "echo again >> /run/reloads" HUP; touch /run/ready; \
  while :; do sleep 1 & wait $!; done'
Restart=always
RestartSec=0
[Install]
WantedBy=multi-user.target
"""


def keeper() -> Systemd:
    """systemd with one process of ours, stopped and without limits."""
    file = supervision.DROP_INS / "formation-dns.service"
    file.write_text(UNIT)
    found = supervision.current(settings(), {"dns": file.name, "web": "no.service"})
    assert isinstance(found, Systemd)
    found.limit("dns", Limits())
    found.stop("dns")
    until(lambda: dns(found).state == "stopped")
    Path("/run/ready").unlink(missing_ok=True)
    RELOADS.unlink(missing_ok=True)
    return found


def running(keeper: Systemd) -> Kept:
    keeper.start("dns")
    until(lambda: dns(keeper).state == "running" and Path("/run/ready").exists())
    return dns(keeper)


def dns(keeper: Systemd) -> Kept:
    return keeper.kept()[0]


def shown(name: str) -> str:
    asked = ["systemctl", "show", "formation-dns", "-P", name]
    return run(asked, capture_output=True, text=True, check=True).stdout.strip()


def until(found: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if found():
            return
        pause.wait(0.02)
    pytest.fail("it did not happen")


def test_a_process_is_started_and_stopped_and_doing_it_twice_is_fine(
    machine: None,
) -> None:
    systemd = keeper()
    for _ in range(2):
        found = running(systemd)
    assert found.since > 1_700_000_000
    os.kill(found.pid, 0)
    for _ in range(2):
        systemd.stop("dns")
    until(lambda: dns(systemd).state == "stopped")
    assert dns(systemd).pid == 0


def test_a_reload_keeps_the_process_and_a_restart_does_not(machine: None) -> None:
    systemd = keeper()
    before = running(systemd).pid
    systemd.signal("dns", "HUP")
    until(RELOADS.exists)
    assert dns(systemd).pid == before
    systemd.signal("dns", "TERM")
    until(lambda: dns(systemd).pid not in (0, before))
    os.kill(dns(systemd).pid, 9)  # and one that dies is brought back
    until(lambda: dns(systemd).state == "running")


def test_limits_are_the_units_and_go_again(machine: None) -> None:
    systemd = keeper()
    running(systemd)
    assert not systemd.limit("dns", Limits(50, 256, files=64, tasks=300))
    assert shown("CPUQuotaPerSecUSec") == "500ms"
    assert shown("MemoryMax") == str(256 << 20)
    assert {shown("TasksMax"), shown("LimitNOFILE")} == {"300", "64"}
    files = run(
        ["prlimit", "--pid", str(dns(systemd).pid), "--nofile", "-o", "SOFT"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert files.split()[-1] == "64"  # of the process that runs, too
    systemd.limit("dns", Limits())
    assert shown("MemoryMax") == "infinity"


def test_a_process_begins_with_the_machine_if_wished(machine: None) -> None:
    systemd = keeper()
    for wished in (True, False):
        systemd.enable("dns", wished)
        assert shown("UnitFileState") == ("enabled" if wished else "disabled")


def test_what_systemd_refuses_is_told(machine: None) -> None:
    systemd = keeper()
    assert "no.service" in systemd.kept()[1].said
    with pytest.raises(EngineGone, match=r"no\.service"):
        systemd.start("web")
    with pytest.raises(NotFound):
        systemd.start("nobody")
    assert not systemd.is_ending()
