"""The console's log, read in parts, and a guest that does not end by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.config import Settings
from appliance.vmm import instances, libvirt


@pytest.fixture
def write(settings: Settings) -> Callable[[bytes], None]:
    folder = settings.instances_dir / "i"
    folder.mkdir(parents=True)

    def append(content: bytes) -> None:
        with (folder / "console.log").open("ab") as file:
            file.write(content)

    return append


def test_parts_follow_each_other_by_whole_lines(write: Callable[[bytes], None]) -> None:
    assert instances.console_after("i", None) == ("", 0)
    write(b"formation: up\r\nagent: one\r\nagent: tw")
    text, end = instances.console_after("i", None)
    assert text == "formation: up\nagent: one\n"
    write(b"o\r\n")
    text, end = instances.console_after("i", end)
    assert instances.agent_lines(text) == "two\n"
    assert instances.console_after("i", end) == ("", end)


def test_a_log_that_was_cut_begins_anew(write: Callable[[bytes], None]) -> None:
    write(b"one\n")
    assert instances.console_after("i", 999) == ("one\n", 4)


def test_what_a_guest_prints_is_harmless_and_bounded(
    write: Callable[[bytes], None],
) -> None:
    write(b"\x1b]0;owned\x07\x1b[2Jagent: \x9b31mred\xff\n" * 100_000)
    text, _ = instances.console_after("i", None)
    assert len(text) <= instances.CONSOLE_PART
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert len(instances.console_tail("i", 60)) == 60


def test_a_guest_that_ignores_the_power_button_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(libvirt, "ask_shutdown", lambda i: done.append("asked"))
    monkeypatch.setattr(libvirt, "state", lambda i: "running")
    monkeypatch.setattr(libvirt, "destroy", lambda i: done.append("cut"))
    instances.shutdown("i", timeout=0.2)
    assert done == ["asked", "cut"]
