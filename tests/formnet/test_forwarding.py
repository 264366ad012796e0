"""Forwarding is on while somebody needs it, and then as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.formnet import forwarding
from appliance.formnet.forwarding import (
    forwarding_holders,
    leave_forwarding,
    need_forwarding,
)


@pytest.fixture
def switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "ip_forward"
    file.write_text("0\n")
    monkeypatch.setattr(forwarding, "FORWARDING", file)
    return file


def test_the_last_who_leaves_puts_it_back(switch: Path, tmp_path: Path) -> None:
    folder = tmp_path / "forwarding"
    assert need_forwarding(folder, "fbuild0")
    assert not need_forwarding(folder, "guests")
    assert forwarding_holders(folder) == ["fbuild0", "guests"]
    leave_forwarding(folder, "fbuild0")
    assert switch.read_text() == "1\n"
    leave_forwarding(folder, "guests")
    assert switch.read_text() == "0\n"
    leave_forwarding(folder, "guests")
    assert switch.read_text() == "0\n"


def test_what_was_on_before_stays_on(switch: Path, tmp_path: Path) -> None:
    switch.write_text("1\n")
    folder = tmp_path / "forwarding"
    assert not need_forwarding(folder, "fbuild0")
    leave_forwarding(folder, "fbuild0")
    assert switch.read_text() == "1\n"


def test_who_was_turned_off_by_others_gets_it_again(
    switch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "forwarding"
    need_forwarding(folder, "guests")
    switch.write_text("0\n")
    assert need_forwarding(folder, "guests")
    assert switch.read_text() == "1\n"
