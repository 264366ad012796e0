"""Processes kept by a real supervisord; what systemctl says is read."""

from __future__ import annotations

import resource
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance import supervision
from appliance.config import Settings
from appliance.problems import EngineGone, NotFound
from appliance.provisions import Limits
from appliance.supervision import Kept, Supervisord, Systemd

PROGRAM = """
[program:{name}]
command={command}
autostart={auto}
startsecs=0
autorestart=true
"""


def conf(folder: Path, *programs: str) -> str:
    return (
        f"[supervisord]\nnodaemon=true\nuser=root\nlogfile={folder}/log\n"
        f"pidfile={folder}/pid\n[unix_http_server]\nfile={folder}/supervisor.sock\n"
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory="
        "supervisor.rpcinterface:make_main_rpcinterface\n" + "".join(programs)
    )


def until(found: Callable[[], object], seconds: float = 20) -> None:
    pause = threading.Event()
    for _ in range(int(seconds * 50)):
        if found():
            return
        pause.wait(0.02)
    pytest.fail("it did not happen")


@pytest.fixture
def keeper(settings: Settings) -> Iterator[Supervisord]:
    """supervisord with a program that runs and one that does not."""
    run = settings.run_dir
    sleeper = PROGRAM.format(name="sleeper", command="sleep 600", auto="true")
    stubborn = "sh -c \"trap 'sleep 1; exit 0' TERM; sleep 600 & wait\""
    idle = PROGRAM.format(name="idle", command=stubborn, auto="false")
    file = run / "supervisord.conf"
    file.write_text(conf(run, sleeper, idle))
    process = subprocess.Popen(["/usr/bin/supervisord", "-n", "-s", "-c", str(file)])
    found = supervision.current(settings, {})
    assert isinstance(found, Supervisord)
    until(lambda: answers(found))
    until(lambda: state(found, "sleeper").state == "running")
    yield found
    process.terminate()
    process.wait(20)


def answers(keeper: Supervisord) -> bool:
    """Its socket is there a moment before it listens."""
    try:
        return bool(keeper.kept())
    except EngineGone:
        return False


def state(keeper: Supervisord, name: str) -> Kept:
    return next(kept for kept in keeper.kept() if kept.name == name)


def asleep(keeper: Supervisord, before: int = 0) -> int:
    """The pid of `sleeper`, another than before, once it is sleep(1): until then it is
    a copy of supervisord, which takes a signal for its own."""
    found = before

    def sleeps() -> bool:
        nonlocal found
        found = state(keeper, "sleeper").pid
        return found != before and command_of(found).startswith(b"sleep")

    until(sleeps)
    return found


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() if pid else b""
    except OSError:
        return b""


def test_what_it_keeps_is_seen(keeper: Supervisord) -> None:
    sleeper = state(keeper, "sleeper")
    assert sleeper.pid > 0
    assert sleeper.since > 1_700_000_000
    assert state(keeper, "idle").state == "stopped"


def test_programs_start_and_stop_and_doing_it_twice_is_fine(
    keeper: Supervisord,
) -> None:
    for _ in range(2):
        keeper.start("idle")
    until(lambda: state(keeper, "idle").state == "running")
    for _ in range(2):
        keeper.stop("sleeper")
    until(lambda: state(keeper, "sleeper").state == "stopped")


def test_what_ends_by_a_signal_is_brought_back(keeper: Supervisord) -> None:
    before = asleep(keeper)
    keeper.signal("sleeper", "TERM")
    assert asleep(keeper, before)


def test_a_limit_reaches_the_process_that_runs(keeper: Supervisord) -> None:
    pid = state(keeper, "sleeper").pid
    keeper.limit("sleeper", Limits(files=300))
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (300, 300)
    keeper.limit("idle", Limits(files=300))  # which does not run


def test_an_unknown_program_is_named(keeper: Supervisord) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        keeper.start("nobody")


def test_it_says_when_the_whole_node_ends(
    keeper: Supervisord, settings: Settings
) -> None:
    keeper.start("idle")
    until(lambda: state(keeper, "idle").state == "running")
    assert not keeper.is_ending()
    pid = int((settings.run_dir / "pid").read_text())
    subprocess.run(["kill", str(pid)], check=True)
    until(keeper.is_ending)  # while a program still takes its time to end
    with pytest.raises(EngineGone):
        keeper.kept()


def test_without_it_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineGone, match="Does form serve run"):
        Supervisord(tmp_path / "none").kept()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in that notes how it was called and answers as systemctl does."""
    script = tmp_path / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$1" in\n'
        'show) case "$3$2" in *TriggeredBy*) echo formation-dns.socket;;'
        " *dns*) echo LoadState=loaded; echo ActiveState=active;"
        " echo SubState=running; echo MainPID=42;"
        " echo ActiveEnterTimestampMonotonic=1000000;; *) echo LoadState=not-found;;"
        " esac;;\nis-system-running) echo stopping; exit 1;;\nesac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "calls"


def test_units_are_asked_and_told(systemctl: Path) -> None:
    keeper = Systemd({"dns": "formation-dns.service", "web": "formation-web.service"})
    dns, web = keeper.kept()
    assert (dns.state, dns.pid, dns.said) == ("running", 42, "running")
    assert web == Kept("web", "stopped", said="there is no unit formation-web.service")
    keeper.signal("dns", "TERM")
    keeper.signal("dns", "HUP")
    keeper.enable("dns", False)
    assert keeper.is_ending()
    said = systemctl.read_text()
    assert "restart --no-block formation-dns.service" in said
    assert "disable formation-dns.socket formation-dns.service" in said
    assert "kill --kill-whom=main --signal=HUP formation-dns.service" in said
    with pytest.raises(NotFound):
        keeper.start("nobody")


@pytest.mark.parametrize(
    ("jobs", "target", "ending"),
    [
        ("", "active", False),
        ("8 formation-jobs.service restart running", "active", False),
        ("8 formation-jobs.service stop running", "active", False),  # it alone
        ("8 formation-jobs.service stop running", "inactive", True),
        (
            "8 formation-jobs.service stop running\\n9 formation.target start waiting",
            "inactive",
            False,
        ),
    ],
)
def test_the_node_ends_where_its_target_stops(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jobs: str,
    target: str,
    ending: bool,
) -> None:
    script = tmp_path / "systemctl"
    script.write_text(
        '#!/bin/sh\ncase "$1" in is-system-running) echo running;;'
        f" list-jobs) printf '{jobs}\\n';; is-active) echo {target};; esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Systemd({}).is_ending() == ending


def test_one_that_ended_and_is_about_to_be_brought_back_has_not_failed(
    keeper: Supervisord,
) -> None:
    seen, ended = set[str](), threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.add(state(keeper, "sleeper").state)

    watching = threading.Thread(target=look)
    watching.start()
    pid = asleep(keeper)
    for _ in range(3):
        keeper.signal("sleeper", "TERM")
        pid = asleep(keeper, pid)
    ended.set()
    watching.join()
    assert "failed" not in seen
