"""Programs get a user, rights and secrets of their own, and nothing more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.admin.launch import order, setpriv
from appliance.admin.programs import LOW_PORTS, Program, programs
from appliance.config import Settings
from appliance.provisions import Limits, provide

TELL = """
import json, os
lines = dict(x.split(":", 1) for x in open("/proc/self/status").read().splitlines())
keys = ("CapEff", "CapBnd", "NoNewPrivs", "Groups")
print(json.dumps({"uid": os.getuid(), **{k: lines[k].strip() for k in keys}}))
"""


def told(program: Program) -> dict[str, object]:
    done = subprocess.run(setpriv(program), capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_program_has_its_user_and_no_rights() -> None:
    found = told(Program("x", ("/usr/bin/python3", "-c", TELL), 1, "daemon"))
    assert found["uid"] == 1
    assert found["NoNewPrivs"] == "1"
    assert int(str(found["CapEff"]), 16) == int(str(found["CapBnd"]), 16) == 0


def test_a_program_that_serves_low_ports_has_that_right_alone() -> None:
    command = ("/usr/bin/python3", "-c", TELL)
    found = told(Program("x", command, 1, "daemon", capability=LOW_PORTS))
    assert found["uid"] == 1
    assert int(str(found["CapEff"]), 16) == 1 << 10  # CAP_NET_BIND_SERVICE


def test_only_formation_jobs_and_libvirtd_are_root(settings: Settings) -> None:
    roots = {item.name for item in programs(settings) if item.user == "root"}
    assert roots <= {"jobs", "libvirtd"}


def test_sockets_are_made_in_the_run_folder_each_for_its_group(
    settings: Settings,
) -> None:
    run = str(settings.run_dir)
    made = {p.name: order(settings, p)["sockets"] for p in programs(settings)}
    assert made["gateway"] == [[f"{run}/gateway.sock", "caddy"]]
    assert made["dns"] == []


def test_only_formation_state_is_told_where_the_pass_phrase_is(
    settings: Settings,
) -> None:
    node = settings.node.model_copy(update={"passphrase_file": Path("/phrase")})
    config = settings.model_copy(update={"node": node})
    told = {p.name: order(config, p)["phrase"] for p in programs(config)}
    assert told.pop("state") == "/phrase"
    assert not any(told.values())


def test_the_pass_phrase_reaches_formation_state_and_nobody_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text("open sesame\n")
    phrase.chmod(0o400)
    become = (
        "import os\n"
        "from appliance.admin.launch import hand_over_phrase\n"
        "from pathlib import Path\n"
        "hand_over_phrase(Path(os.environ['FORMATION_NODE__PASSPHRASE_FILE']))\n"
        "user = ['setpriv', '--reuid=daemon', '--regid=daemon', '--clear-groups']\n"
        "file = os.environ['FORMATION_NODE__PASSPHRASE_FILE']\n"
        "os.execvp(user[0], [*user, 'sh', '-c', 'env; cat ' + file])\n"
    )
    environment = {**os.environ, "FORMATION_NODE__PASSPHRASE_FILE": str(phrase)}
    done = subprocess.run(
        [sys.executable, "-c", become],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    *variables, last = done.stdout.splitlines()
    assert last == "open sesame"
    assert "sesame" not in str(variables)
    assert [item.name for item in programs(settings) if item.phrase] == ["state"]


def test_limits_hold_from_the_start_and_for_its_user(settings: Settings) -> None:
    provide(settings, "dns", limits=Limits(files=300))
    become = (
        "from appliance.admin import launch\n"
        "from appliance.admin.programs import Program\n"
        "from appliance.config import load\n"
        "told = ('sh', '-c', 'id -u; ulimit -Hn')\n"
        "program = Program('dns', told, 1, 'daemon')\n"
        "launch.launch(launch.order(load(), program), 'dns')\n"
    )
    command = [sys.executable, "-c", become]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "300"]
