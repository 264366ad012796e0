"""An appliance whose systemd is three small programs that note what they are told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import appliance_image
from appliance.admin.machine import names, network, ssh

PROGRAM = '#!/bin/sh\necho "$(basename "$0") $*" >> {told}\n[ ! -e {told}.refuse ]\n'
CARDS = ("eth0", "eth1")


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What systemd was told; the machine's files are in a folder of the test."""
    log, programs = tmp_path / "told", tmp_path / "bin"
    programs.mkdir()
    for name in ("networkctl", "hostnamectl", "timedatectl", "systemctl"):
        (programs / name).write_text(PROGRAM.format(told=log))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for card in CARDS:
        (tmp_path / "net" / card).mkdir(parents=True)
        (tmp_path / "net" / card / "type").write_text("1\n")
    monkeypatch.setattr(network, "CARDS", tmp_path / "net")
    monkeypatch.setattr(network, "NOW", tmp_path / "now")
    monkeypatch.setattr(network, "KEPT", tmp_path / "etc" / "network")
    monkeypatch.setattr(ssh, "KEYS", tmp_path / "etc" / "ssh" / "authorized_keys")
    monkeypatch.setattr(names, "HOST_NAME", tmp_path / "hostname")
    (tmp_path / "hostname").write_text("formation\n")
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def on_appliance(
    told: Callable[[], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of this machine that is an appliance."""
    (tmp_path / "appliance.json").write_text("{}")
    monkeypatch.setattr(appliance_image, "FILE", tmp_path / "appliance.json")
    return tmp_path
