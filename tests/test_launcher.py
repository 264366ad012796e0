"""One module becomes each of our programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from appliance import identity, launcher
from appliance.config import Settings


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "appliance.launcher", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_unknown_program_is_named_with_those_that_there_are() -> None:
    for words in ([], ["nobody"]):
        done = run(*words)
        assert done.returncode == 1
        assert "there are form, state, jobs, dns, web, gateway" in done.stderr


def test_the_command_has_its_own_name(settings: Settings) -> None:
    assert run("form", "--help").stdout.startswith("Usage: form ")


def test_a_phrase_that_was_handed_over_is_read_in_place_of_its_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_PHRASE", "")
    monkeypatch.delenv("FORMATION_PHRASE")
    node = settings.node.model_copy(update={"passphrase_file": Path("/nowhere")})
    config = settings.model_copy(update={"node": node})
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    launcher.take_phrase()  # none was
    assert "FORMATION_PHRASE" not in launcher.os.environ
    (tmp_path / launcher.PHRASE).write_text("open sesame\n")
    launcher.take_phrase()
    assert identity.passphrase(config) == b"open sesame"
    assert identity.passphrase(settings) is None  # where no pass phrase is set
