"""`form` as a process: what it prints when the machine is against it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.commands import tasks
from appliance.config import Settings

IMPATIENT = (
    "import sys; from appliance import database; database.BUSY_TIMEOUT_S = 0.05; "
    "from appliance.cli import main; main()"
)
SETUP = """
[node]
name = "cellar"
region = "home"
cidr = "10.42.0.0/16"
zone = "formation.internal"

[account]
name = "ada"
password = "correct horse battery"
"""


def form(*words: str, **named: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IMPATIENT, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, **named
    )  # type: ignore[call-overload, no-any-return]


def must_be_one_sentence(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_set_up_against_a_locked_database_says_so(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "answers.toml").write_text(SETUP)
    other = sqlite3.connect(
        settings.data_dir / "node" / "node.db", isolation_level=None
    )
    other.execute("begin exclusive")
    try:
        done = form("setup", "--from", str(tmp_path / "answers.toml"))
    finally:
        other.execute("rollback")
        other.close()
    must_be_one_sentence(done)
    assert "database is locked" in done.stderr
    assert "nothing was changed" in done.stderr


def test_a_wrong_setting_is_named(settings: Settings) -> None:
    done = form("status", env={**os.environ, "FORMATION_HTTP__PORT": "many"})
    must_be_one_sentence(done)
    assert "http.port" in done.stderr


def test_a_folder_that_cannot_be_made_is_named(settings: Settings) -> None:
    blocked = settings.data_dir / "file"
    blocked.touch()
    env = {**os.environ, "FORMATION_DATA_DIR": str(blocked / "data")}
    done = form("setup", "--from", "/nowhere.toml", env=env)
    must_be_one_sentence(done)


@pytest.mark.parametrize("words", [["status"], ["pack", "check", "--help"]])
def test_a_reader_that_has_enough_is_no_error(
    settings: Settings, words: list[str]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-c", IMPATIENT, *words]
    with os.fdopen(theirs, "w") as gone:
        done = subprocess.run(
            command,
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.stderr == ""


def test_ctrl_c_ends_quietly_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(source: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks, "value_of", interrupt)
    done = CliRunner().invoke(main, ["run", "echo", "--input", "-"])
    assert (done.exit_code, done.output) == (130, "")
