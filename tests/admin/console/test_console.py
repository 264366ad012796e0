"""The console on a real terminal: what is seen, what keys do, what does no harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from appliance import config, state
from appliance.admin import accounts, passwords, setup
from appliance.admin.caddy import ensure_certificate, fingerprint
from appliance.admin.console import asking, dialogs, facts
from appliance.admin.machine import network
from appliance.config import Settings
from appliance.problems import Unavailable
from appliance.service import choose
from appliance.state.server import StateServer
from tests.admin.console.terminal import Terminal, started
from tests.admin.machine.conftest import on_appliance as on_appliance
from tests.admin.machine.conftest import told as told

UP, DOWN, ESC, CTRL_C = "\x1b[A", "\x1b[B", "\x1b", "\x03"
OLD, NEW = "correct horse battery", "staple of a new horse"


@pytest.fixture
def unclaimed(settings: Settings) -> Settings:
    ensure_certificate(settings)
    setup.new_claim(settings)
    return settings


@pytest.fixture
def claimed(unclaimed: Settings, records: StateServer) -> Settings:
    choose(unclaimed, [])
    accounts.create("ada", accounts.hash_password(OLD), ("operator",))
    return unclaimed


@pytest.fixture
def screen(unclaimed: Settings) -> Iterator[Terminal]:
    with started("console") as found:
        yield found


def test_it_shows_fingerprint_and_claim_code_until_the_node_is_claimed(
    unclaimed: Settings, screen: Terminal
) -> None:
    code = setup.claim_file(unclaimed).read_text()
    screen.sees(code, fingerprint(unclaimed)[:47], "Enter: menu")
    choose(unclaimed, ["form-dns"])
    screen.sees("services run")
    screen.misses(code)


def test_the_menu_opens_goes_and_does_not_end_by_any_key(screen: Terminal) -> None:
    screen.sees("Claim code")
    screen.press(CTRL_C + "\x1a\x04\x1c~€")
    screen.press("\r")
    screen.sees("What shall be done?")
    screen.press(UP + CTRL_C + DOWN + DOWN + "x9\r")  # the bar is on the second now
    screen.sees("not set up yet")
    screen.press("\r")
    screen.sees("What shall be done?")
    screen.press(ESC)
    screen.sees("Claim code")


def test_a_screen_that_changes_its_size_is_drawn_anew(screen: Terminal) -> None:
    screen.sees("Claim code", "Enter: menu")
    screen.resize(50, 12)
    screen.sees("Enter: menu")
    screen.resize(10, 2)
    screen.resize(100, 40)
    screen.sees("Claim code", "Enter: menu")


def test_a_dialog_that_cannot_be_done_says_why_and_goes_back(screen: Terminal) -> None:
    screen.sees("Claim code")
    screen.press("\r2")
    screen.sees("not set up yet", "Enter: back to the menu")
    screen.press("\r")
    screen.sees("What shall be done?")


def test_ctrl_c_in_a_dialog_goes_back_and_changes_nothing(screen: Terminal) -> None:
    screen.sees("Claim code")
    screen.press("\r5")
    screen.sees("Restart the machine")
    screen.insist(CTRL_C, "What shall be done?")


def test_an_operator_gets_a_new_password_at_the_console(claimed: Settings) -> None:
    with started("console") as screen:
        screen.sees("services run")
        screen.press("\r2")
        screen.sees("Operators: ada", "Whose password")
        screen.press("\r")
        screen.sees("New password")
        screen.press(f"{NEW}\r")
        screen.sees("Repeat for confirmation")
        screen.press(f"{NEW}\r")
        screen.sees("ada logs in by the new password now.")
        assert NEW not in screen.text
    assert passwords.fits(accounts.credential("ada").password_hash, NEW)


def run(dialog: str, typed: str) -> str:
    """The dialog by itself, with what is typed."""
    command = [sys.executable, "-m", "appliance.admin.console.dialogs", dialog]
    done = subprocess.run(
        command, input=typed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_elsewhere_the_network_is_left_alone(settings: Settings) -> None:
    assert "no appliance" in run("network", "\n")


STATIC = "static\neth1\n192.168.1.20/24\n192.168.1.1\n9.9.9.9\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (STATIC + "y\n\n", "It is kept."),
        (STATIC + "n\n\n", "as it was before"),
        (STATIC, ""),
        ("static\neth1\n192.168.1.20\n\n\n\n", "needs its prefix"),
        ("static\neth7\n192.168.1.20/24\n\n\n\n", "no card"),
    ],
)
def test_the_network_is_set_at_the_console(
    settings: Settings,
    on_appliance: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    said: str,
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(typed))
    dialogs.run("network")
    shown = capsys.readouterr().out
    assert said in shown
    assert "Traceback" not in shown
    kept = network.KEPT / network.NAME
    assert kept.exists() == (said == "It is kept.")
    assert (network.present() is None) == (said != "It is kept.")


def test_a_network_that_nobody_answers_for_returns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", silent)
        assert asking.answered_in(0.05, "Keep it?") is False
    os.close(writing)
    assert "Keep it?" in capsys.readouterr().out


def test_a_password_of_nobody_changes_nothing(claimed: Settings) -> None:
    assert "'bo' is no operator" in run("password", "bo\n\n")
    assert passwords.fits(accounts.credential("ada").password_hash, OLD)


def test_a_factory_reset_elsewhere_says_what_to_do_instead(claimed: Settings) -> None:
    assert "apt purge" in run("reset", "\n")


def test_a_shell_is_refused_where_the_setting_is_off(claimed: Settings) -> None:
    assert "admin.console_shell is off" in run("shell", "\n")


def test_a_shell_wants_an_operator_s_password(
    claimed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORMATION_ADMIN__CONSOLE_SHELL", "true")
    accounts.create("bo", accounts.hash_password(OLD), ("developer",))
    for name, word in (("ada", "wrong"), ("bo", OLD)):
        said = run_typed("shell", name, word)
        assert "wrong" in said or "no operator" in said


def run_typed(dialog: str, *lines: str) -> str:
    argv = [sys.executable, "-m", "appliance.admin.console.dialogs", dialog]
    terminal = Terminal(argv)
    try:
        terminal.sees("Operator")
        terminal.press(f"{lines[0]}\r")
        terminal.sees("Password")
        terminal.press(f"{lines[1]}\r")
        terminal.sees("Enter: back to the menu")
        return terminal.text
    finally:
        terminal.close()


def test_problems_are_read_from_the_logs_and_shown_harmless(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.supervision.SYSTEMD", settings.data_dir / "none")
    assert dialogs.problem_lines() == ["The logs have no warning."]
    (settings.log_dir / "web.log").write_text(
        '{"event": "all well", "level": "info"}\n'
        '{"event": "it fell \x1b[31mdown", "level": "error"}\n'
        "2026-01-01 00:00:00 [warning ] disk is slow\n"
    )
    found = dialogs.problem_lines()
    assert [line.split(":")[0] for line in found] == ["web", "web"]
    assert "fell" in found[0]
    assert "slow" in found[1]


def test_facts_survive_their_way_from_the_child(unclaimed: Settings) -> None:
    found = facts.gather()
    assert facts.from_json(facts.as_json(found)) == found
    assert found.claim


def test_a_node_that_never_started_says_so(settings: Settings) -> None:
    assert facts.gather().trouble == "The node has not started yet."


def test_settings_that_are_wrong_are_trouble_and_hide_no_claim_code(
    unclaimed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stands at the machine must reach it in order to mend them."""
    Path(os.environ["FORMATION_CONFIG"]).write_text("[http]\nport = 'many'\n")
    config.settings.cache_clear()
    assert facts.gather().claim
    monkeypatch.setenv("FORMATION_HTTP__PORT", "many")
    assert "http" in facts.gather().trouble


@pytest.mark.parametrize("text", ["", "{}", "[1]", json.dumps({"services": [1]})])
def test_a_child_that_says_nonsense_is_trouble_not_an_end(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, text)
    monkeypatch.setattr(subprocess, "run", lambda *of, **named: done)
    assert "cannot be looked at" in facts.ask_child().trouble


def test_a_service_that_fell_silent_has_failed(settings: Settings) -> None:
    file = settings.run_dir / "dns" / "form-dns.json"
    found = facts.state_of(facts.Service("Names", str(file)), now=4e9)
    assert found.state == "failed"
    file.write_text("{")
    assert facts.state_of(facts.Service("Names", str(file)), 0).state == "waiting"


def test_without_a_terminal_it_says_so_or_prints_once(unclaimed: Settings) -> None:
    form = [sys.executable, "-c", "from appliance.cli import main; main()", "console"]
    done = subprocess.run(form, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs a terminal" in done.stderr
    done = subprocess.run([*form, "--text"], capture_output=True, text=True, check=True)
    assert setup.claim_file(unclaimed).read_text() in done.stdout


def test_what_is_replicated_is_not_needed(unclaimed: Settings) -> None:
    """The node may be down: no socket of formation-state is there."""
    with pytest.raises(Unavailable):
        state.put("node", "x", {})
    assert facts.gather().fingerprint
