"""The units say what the programs' declarations say."""

from __future__ import annotations

import re
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from appliance import supervision
from appliance.admin.preparing import DATA_DIR, GROUP, SERVICES
from appliance.admin.programs import Program, programs, units
from appliance.admin.serving import TARGET
from appliance.config import Settings
from appliance.launcher import MODULES, PHRASE
from appliance.layout import CADDY

HERE = Path(__file__).parents[2] / "systemd"
LAID_DOWN = sorted(file.name for file in HERE.iterdir() if file.name[:4] == "form")
APPLIANCE = {
    "formation-console@.service",
    "formation-console-generator",
    "formation-firewall.service",
    "formation-machine.service",
    "formation-seed.service",
    "formation-ssh.service",
}
"""What only the appliance starts, at its own times."""
FILES = [file for file in LAID_DOWN if file not in APPLIANCE]
OURS = [file for file in FILES if file.endswith(".service")]


class Unit(RawConfigParser):
    """A unit's file; of a key that stands there twice both values count."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False, interpolation=None)
        self.optionxform = str  # type: ignore[assignment]
        self.read_string((HERE / name).read_text())

    def words(self, section: str, key: str) -> list[str]:
        return self.get(section, key, fallback="").split()


@pytest.fixture
def own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> dict[str, Program]:
    """The programs that systemd keeps, by their units."""
    monkeypatch.setattr(supervision, "SYSTEMD", Path("/"))
    monkeypatch.setattr("appliance.admin.programs.SYSTEMD", Path("/"))
    names = units(settings)
    return {names[program.name]: program for program in programs(settings)}


def test_each_program_has_a_unit(own: dict[str, Program]) -> None:
    assert set(own) | {"formation-prepare.service"} <= set(OURS)


def test_each_unit_runs_as_the_program_s_user_with_its_rights(
    own: dict[str, Program],
) -> None:
    for name, program in own.items():
        unit = Unit(name)
        user = unit.get("Service", "User", fallback="root")
        assert user == program.user
        assert unit.get("Service", "Group", fallback="root") == program.user
        assert unit.get("Service", "NoNewPrivileges") == "yes"
        if program.user == "root":
            continue
        wanted = f"CAP_{program.capability}".upper() if program.capability else ""
        for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
            assert unit.get("Service", key) == wanted, name


def test_each_unit_starts_the_program_s_command(own: dict[str, Program]) -> None:
    for name, program in own.items():
        path, *words = Unit(name).words("Service", "ExecStart")
        if program.name == "caddy":
            command = ("caddy", "run", "--config", "/run/formation/Caddyfile")
            assert (Path(path).name, *words)[:4] == command
            continue
        assert (path, words) == ("/usr/lib/formation/formation-run", [program.name])
        assert program.command[2:] == MODULES[program.name]


def test_each_socket_is_where_the_program_wants_it_for_its_group(
    own: dict[str, Program],
) -> None:
    made = {}
    for file in FILES:
        if file.endswith(".socket"):
            unit = Unit(file)
            path = Path(unit.get("Socket", "ListenStream"))
            assert path.parent == Path("/run/formation")
            assert unit.get("Socket", "SocketMode") == "0660"
            group = unit.get("Socket", "SocketGroup")
            made[path.name, group] = unit.get("Socket", "Service"), file
    for name, program in own.items():
        needed = Unit(name).words("Unit", "Requires")
        for socket in program.sockets:
            service, file = made.pop(socket)
            assert service == name
            assert file in needed, name  # who starts it has its sockets
    assert not made


def test_the_pass_phrase_goes_where_keys_are_opened(own: dict[str, Program]) -> None:
    for name, program in own.items():
        told = Unit(name).words("Service", "LoadCredential")
        opens = program.phrase or program.name == "jobs"  # which sees no home
        assert told == ([PHRASE] if opens else []), name


def test_nobody_waits_for_what_starts_later(own: dict[str, Program]) -> None:
    for name, program in own.items():
        after = Unit(name).words("Unit", "After")
        assert "formation-prepare.service" in after
        for other in after:
            if other in own:
                assert own[other].priority < program.priority
    jobs = Unit("formation-jobs.service").words("Unit", "After")
    assert {"formation-state.service", "libvirtd.service"} <= set(jobs)


def test_each_is_given_the_time_that_it_takes_to_stop(own: dict[str, Program]) -> None:
    for name, program in own.items():
        given = int(Unit(name).get("Service", "TimeoutStopSec"))
        assert given >= program.stop_wait_s, name


def test_what_reads_its_settings_again_does_so_at_reload(
    own: dict[str, Program],
) -> None:
    for name, program in own.items():
        told = Unit(name).get("Service", "ExecReload")
        assert ("kill -HUP" in told) == program.may_reload


def test_all_begin_and_end_with_the_node(own: dict[str, Program]) -> None:
    assert Unit("formation.target").get("Install", "WantedBy") == "multi-user.target"
    assert Unit("formation-prepare.service").words("Unit", "PartOf") == [TARGET]
    for file in (*own, *(file for file in FILES if file.endswith(".socket"))):
        assert Unit(file).words("Unit", "PartOf") == [TARGET]
        assert Unit(file).words("Install", "WantedBy") == [TARGET]


def test_all_are_brought_back_and_watched(own: dict[str, Program]) -> None:
    for name, program in own.items():
        unit = Unit(name)
        assert unit.get("Service", "Type") == "notify"
        assert unit.get("Service", "Restart") == "always"
        assert int(unit.get("Unit", "StartLimitBurst")) >= 10
        watched = unit.has_option("Service", "WatchdogSec")
        assert watched == (program.name != "caddy")  # which does not know of it


def test_the_units_have_the_folders_and_the_group_of_the_settings_defaults(
    settings: Settings,
) -> None:
    assert settings.auth.operator_group == GROUP
    assert Settings.model_fields["data_dir"].default == DATA_DIR
    named = [name for name in OURS if str(DATA_DIR) in (HERE / name).read_text()]
    assert {f"formation-{name}.service" for name in SERVICES} >= set(named)


def test_what_units_name_exists(settings: Settings) -> None:
    for file in FILES:
        named = re.findall(
            r"formation-[a-z]+\.(?:service|socket)", (HERE / file).read_text()
        )
        assert set(named) <= set(FILES)
    assert Unit("formation-web.socket").get("Socket", "SocketGroup") == CADDY


def test_the_appliance_s_own_units_are_walled_in(tmp_path: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager"]
    walled = {name for name in APPLIANCE if name.endswith(".service")}
    for name in sorted(walled - {"formation-ssh.service"}):  # a log-in of root
        file = tmp_path / name.replace("@", "@tty1")
        file.write_text((HERE / name).read_text())
        done = subprocess.run([*command, str(file)], capture_output=True, text=True)
        found = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
        assert found, done.stderr
        assert float(found[1]) < 3.0, name


def test_systemd_finds_no_mistake(tmp_path: Path) -> None:
    units = [name for name in LAID_DOWN if not name.endswith("-generator")]
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    for file in units:
        text = (HERE / file).read_text()
        for command in ("/usr/lib/formation/formation-run", "/usr/bin/caddy"):
            text = text.replace(f"{command} ", f"{tmp_path / 'run'} ")
        (tmp_path / file).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no"]
    done = subprocess.run(
        [*command, *(str(tmp_path / file) for file in units)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert not said
