"""What systemd hears of a process, by the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import notify
from appliance.config import Settings
from appliance.host import Host
from appliance.problems import Problem
from appliance.process import opened, run_rounds
from appliance.wake import Waiter


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(10)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_PID": "1"}
        notify.begin(environment)
        assert not environment  # no child speaks for it
        yield link
        notify.begin({})


def lines(link: socket.socket) -> list[str]:
    return link.recv(4096).decode().splitlines()


def test_a_status_is_told_once(heard: socket.socket) -> None:
    notify.ready("well")
    assert lines(heard) == ["READY=1", "STATUS=well"]
    notify.alive("well")
    assert lines(heard) == ["WATCHDOG=1"]
    notify.alive("two\nlines")
    assert lines(heard) == ["WATCHDOG=1", "STATUS=two lines"]


def test_an_abstract_address_is_understood() -> None:
    name = f"formation-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(f"\0{name}")
        link.settimeout(10)
        notify.begin({"NOTIFY_SOCKET": f"@{name}"})
        notify.stopping()
        assert lines(link) == ["STOPPING=1"]
    notify.stopping()  # nobody there is no failure
    notify.begin({})


def test_nobody_is_told_elsewhere() -> None:
    notify.begin({})
    notify.ready("well")


def test_rounds_tell_of_their_start_a_reload_and_their_end(
    settings: Settings, heard: socket.socket
) -> None:
    waiter, said = Waiter(settings.run_dir, "state"), []
    asked = threading.Event()

    def work() -> None:
        if not asked.is_set():
            asked.set()
            os.kill(os.getpid(), signal.SIGHUP)
        elif any("RELOADING=1" in line for line in said):
            os.kill(os.getpid(), signal.SIGTERM)

    def listen() -> None:
        while "STOPPING=1" not in said:
            said.extend(lines(heard))

    listener = threading.Thread(target=listen)
    listener.start()
    before = {
        n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    }
    try:
        run_rounds(Host(settings, "state"), waiter, work)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    listener.join(10)
    words = [line for line in said if not line.startswith("MONOTONIC_USEC=")]
    assert words[:2] == ["READY=1", "WATCHDOG=1"]
    assert words.index("RELOADING=1") < words.index("READY=1", 1)
    assert words[-1] == "STOPPING=1"


def test_who_waits_for_a_pass_phrase_is_up_and_says_so(
    settings: Settings, heard: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.process.ROUND_S", 0.01)
    tries = iter([Problem("wrong", "The pass phrase is wrong."), None])

    def open_() -> str:
        found = next(tries)
        if found:
            raise found
        return "open"

    assert opened(Host(settings, "state"), open_) == "open"
    assert lines(heard) == ["READY=1", "STATUS=waits: The pass phrase is wrong."]
    assert lines(heard) == ["WATCHDOG=1"]
