"""The package in a real systemd: installed, looked at, hurt, upgraded, removed.

Each test goes on where the one before ended.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image.package.make import build
from tests.pack.conftest import BASE
from tests.systemd.conftest import SUITE, Machine, started

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
PROCESSES = ("state", "jobs", "dns", "web", "gateway", "caddy")
WATCHED = ("state", "jobs", "dns", "web", "gateway")
UNITS = tuple(f"formation-{name}.service" for name in PROCESSES)
SETUP = """[node]
name = "cellar"
[account]
name = "ada"
password = "correct horse battery"
"""
FORMFILE = "NAME hello\nRUN mount | grep ^proc > /proc-is-there\nENTRYPOINT sleep 9\n"
HEALTH = "https://127.0.0.1:8443/healthz"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    build(SUITE, folder, None, folder / "cache")
    return next(folder.glob("formation_*_amd64.deb"))


class Node:
    """A machine on which the package is installed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self, *argv: str) -> str:
        done = self.machine.run(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def shell(self, script: str) -> str:
        return self.run("sh", "-euc", script)

    def shown(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", unit, "-P", name)

    def pid(self, name: str) -> int:
        return int(self.shown(f"formation-{name}.service", "MainPID"))

    def is_up(self, name: str) -> bool:
        return self.shown(f"formation-{name}.service", "ActiveState") == "active"

    def settle(self) -> None:
        until(lambda: all(self.is_up(name) for name in PROCESSES))

    def states(self) -> dict[str, str]:
        lines = self.run("form", "status").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    def file(self, path: str) -> Path:
        return Path(f"/proc/{self.machine.pid}/root{path}")

    def answers(self) -> bool:
        script = (
            "import ssl, urllib.request as r; c = ssl._create_unverified_context();"
        )
        script += f"r.urlopen('{HEALTH}', timeout=20, context=c).read()"
        return self.machine.run("python3", "-c", script).returncode == 0


@pytest.fixture(scope="module")
def node(debian: Path, package: Path) -> Iterator[Node]:
    with started(debian) as machine:
        found = Node(machine)
        found.shell(
            "mount -o remount,rw /sys; echo 'namespaces = []' >> /etc/libvirt/qemu.conf"
        )
        found.file("/var/tmp/formation.deb").write_bytes(package.read_bytes())
        found.run("dpkg", "--install", "/var/tmp/formation.deb")
        yield found


def until(found: Callable[[], object], seconds: float = 90) -> None:
    pause, end = threading.Event(), time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.1)


def test_the_node_starts_when_the_package_is_installed(node: Node) -> None:
    node.settle()
    assert node.answers()
    assert "formation" not in node.run("systemctl", "--failed", "--plain")
    said = node.machine.run("grep", "-rlF", "/var/tmp/", "/usr/lib/formation/release")
    assert not said.stdout  # no file names the folder where it was built
    assert node.shown("caddy.service", "ActiveState") == "inactive"  # Debian's
    assert re.search(r"Claim code: ([0-9a-f]{4}-?){3}", node.run("form", "claim"))
    for name in PROCESSES:
        user = node.run("stat", "-c", "%U", f"/proc/{node.pid(name)}")
        wanted = {"jobs": "root", "caddy": "caddy", "gateway": "formation-web"}
        assert user == wanted.get(name, f"formation-{name}")


def test_it_is_set_up_and_all_services_are_well(node: Node) -> None:
    node.file("/var/tmp/setup.toml").write_text(SETUP)
    node.run("form", "setup", "--from", "/var/tmp/setup.toml")
    until(lambda: set(node.states().values()) == {"running"})
    listed = json.loads(node.file("/run/formation/jobs/processes.json").read_text())
    assert listed["keeper"] == "systemd"


def test_each_process_is_walled_in(node: Node) -> None:
    for unit in (*UNITS, "formation-prepare.service"):
        said = node.run("systemd-analyze", "security", "--no-pager", unit)
        found = re.search(r"exposure level for .*: ([0-9.]+)", said)
        assert found, said
        most = 5.0 if unit == "formation-jobs.service" else 3.0
        assert float(found[1]) < most, said


def test_formation_jobs_can_still_do_what_it_is_for(node: Node) -> None:
    node.run("form", "settings", "set", "log.level=debug")
    assert "debug" in node.file("/etc/formation/formation.toml").read_text()
    assert "formation0" in node.run("ip", "-brief", "link")  # the guests' bridge
    assert "inet formation" in node.run("nft", "list", "tables")
    base, folder = node.file("/var/lib/formation/base"), node.file("/var/tmp/agent")
    shutil.copytree(BASE, base / "debian-13", dirs_exist_ok=True)
    folder.mkdir()
    (folder / "Formfile").write_text(FORMFILE)
    node.run("form", "pack", "build", "/var/tmp/agent")  # behind walls of its own
    assert list(node.file("/var/lib/formation/images").glob("*.qcow2"))


def test_form_serve_says_that_systemd_keeps_the_node(node: Node) -> None:
    done = node.machine.run("form", "serve")
    assert done.returncode == 1
    assert "systemd keeps this node: systemctl status formation.target" in done.stderr


def test_a_killed_process_is_brought_back(node: Node) -> None:
    before = {name: node.pid(name) for name in PROCESSES}
    for pid in before.values():
        node.shell(f"kill -KILL {pid}")
    until(lambda: all(node.pid(name) not in (0, before[name]) for name in PROCESSES))
    node.settle()
    until(node.answers)


def test_a_process_that_hangs_is_ended_by_the_watchdog(node: Node) -> None:
    """Each is stopped where it works: gunicorn's worker, not its master."""
    for name in WATCHED:
        folder = node.file(f"/run/systemd/system/formation-{name}.service.d")
        folder.mkdir(parents=True)
        (folder / "quick.conf").write_text("[Service]\nWatchdogSec=12\n")
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "restart", *(f"formation-{name}" for name in WATCHED))
    node.settle()
    before = {name: node.pid(name) for name in WATCHED}
    for name, pid in before.items():
        children = node.run("cat", f"/proc/{pid}/task/{pid}/children").split()
        for stopped in children if name in ("web", "gateway") else [str(pid)]:
            node.shell(f"kill -STOP {stopped}")
    until(lambda: all(node.pid(name) not in (0, before[name]) for name in WATCHED))
    for name in WATCHED:
        said = node.run("journalctl", "--quiet", "-u", f"formation-{name}", "-n", "200")
        assert "Watchdog timeout" in said
    node.shell(
        "rm -r /run/systemd/system/formation-*.service.d; systemctl daemon-reload"
    )
    node.settle()


ASK = """
import pathlib, ssl, sys, threading, urllib.request
context = ssl._create_unverified_context()
asking, refused, done = pathlib.Path("/run/asking"), [], []
asking.touch()
def ask():
    while asking.exists():
        try:
            asked = urllib.request.urlopen(sys.argv[1], timeout=30, context=context)
            with asked as got:
                done.append(got.status)
        except Exception as error:
            refused.append(repr(error))
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(done), *refused[:5])
sys.exit(bool(refused))
"""


def asking_while(node: Node, act: Callable[[], object]) -> None:
    """No request that comes meanwhile may fail."""
    said: list[subprocess.CompletedProcess[str]] = []
    command = ("python3", "-c", ASK, HEALTH)
    asker = threading.Thread(target=lambda: said.append(node.machine.run(*command)))
    asker.start()
    until(node.file("/run/asking").exists)
    act()
    assert node.answers()  # and for a while after it
    node.file("/run/asking").unlink()
    asker.join()
    assert said[0].returncode == 0, said[0].stdout + said[0].stderr
    assert int(said[0].stdout.split()[0]) > 10


def test_a_reload_loses_no_request(node: Node) -> None:
    before = {name: node.pid(name) for name in PROCESSES}
    reload = ("systemctl", "reload", *(unit for unit in UNITS if "caddy" not in unit))
    asking_while(node, lambda: node.run(*reload))
    assert before == {name: node.pid(name) for name in PROCESSES}
    node.settle()


def test_a_restart_of_the_pages_refuses_no_request(node: Node) -> None:
    before = node.pid("web")
    restart = ("systemctl", "restart", "formation-web", "formation-state")
    asking_while(node, lambda: node.run(*restart))
    assert node.pid("web") not in (0, before)


def test_the_pass_phrase_reaches_those_who_open_keys_alone(node: Node) -> None:
    node.run("systemctl", "stop", "formation.target")
    until(lambda: not any(node.is_up(name) for name in PROCESSES))
    node.file("/root/phrase").write_text("open sesame\n")
    node.file("/root/phrase").chmod(0o400)
    settings = node.file("/etc/formation/formation.toml")
    settings.write_text(
        f'{settings.read_text()}[node]\npassphrase_file="/root/phrase"\n'
    )
    assert "are sealed now" in node.run("form", "admin", "seal-keys")
    node.run("systemctl", "start", "formation.target")
    until(lambda: set(node.states().values()) == {"running"})
    for name in PROCESSES:
        told = (
            b"CREDENTIALS_DIRECTORY"
            in node.file(f"/proc/{node.pid(name)}/environ").read_bytes()
        )
        assert told == (name in ("state", "jobs"))
    node.run("form", "repairs", "check")
    assert "restart" not in node.run("form", "repairs", "list")


def test_what_is_stopped_stays_so_though_somebody_calls(node: Node) -> None:
    node.run("form", "processes", "stop", "gateway")
    until(lambda: not node.is_up("gateway"))
    assert node.shown("formation-gateway.socket", "ActiveState") == "inactive"
    node.run("form", "processes", "start", "gateway")
    node.settle()


def test_the_node_begins_with_the_machine(node: Node) -> None:
    node.machine.restart()
    node.settle()
    until(lambda: set(node.states().values()) == {"running"})
    assert node.answers()
    assert node.run("systemctl", "is-system-running", "--wait") == "running"
    journal = node.run("journalctl", "--boot", "--quiet", "--no-pager")
    assert "ordering cycle" not in journal


def next_version(node: Node) -> str:
    """The same package with a higher version; returns it."""
    node.shell(
        "cd /var/tmp; rm -rf next; dpkg-deb -R formation.deb next;"
        "sed -i 's/^Version: .*/&+1/' next/DEBIAN/control;"
        "dpkg-deb --root-owner-group -Znone --build next next.deb"
    )
    return node.run("dpkg-deb", "-f", "/var/tmp/next.deb", "Version")


def test_an_upgrade_keeps_the_data_and_refuses_no_request(node: Node) -> None:
    version = next_version(node)
    node.file("/var/lib/formation/releases").mkdir(exist_ok=True)
    older = node.file("/var/lib/formation/releases/0.0.1")
    older.mkdir()
    (older / "release.json").write_text('{"version": "0.0.1"}')
    node.shell("ln -s 0.0.1 /var/lib/formation/releases/current")
    before = {name: node.pid(name) for name in PROCESSES}
    install = ("dpkg", "--install", "/var/tmp/next.deb")
    asking_while(node, lambda: node.run(*install))
    assert node.run("dpkg-query", "-W", "-f", "${Version}", "formation") == version
    assert not node.file("/var/lib/formation/releases/current").is_symlink()
    node.settle()
    stayed = [name for name in PROCESSES if node.pid(name) == before[name]]
    assert stayed == ["caddy"]  # it is Debian's, and holds the ports
    until(lambda: set(node.states().values()) == {"running"})
    assert "ada" in node.run("form", "account", "list")


def test_a_removal_stops_the_node_and_a_purge_leaves_its_data(node: Node) -> None:
    node.run("dpkg", "--remove", "formation")
    for unit in (*UNITS, "formation-web.socket", "formation.target"):
        assert node.shown(unit, "ActiveState") == "inactive"
    said = node.run("dpkg", "--purge", "formation")
    assert "/var/lib/formation" in said
    assert node.file("/var/lib/formation/state/state.db").exists()
    assert not node.file("/etc/systemd/system/formation.target.wants").exists()
    node.run("dpkg", "--install", "/var/tmp/next.deb")  # and it goes on
    node.settle()
    until(lambda: set(node.states().values()) == {"running"})


def test_a_purge_deletes_all_where_that_is_asked(node: Node) -> None:
    node.shell("FORMATION_PURGE_DATA=yes dpkg --purge formation")
    for place in ("/var/lib/formation", "/etc/formation", "/usr/lib/formation"):
        assert not node.file(place).exists()
    assert not re.search("^formation-", node.run("getent", "passwd"), re.MULTILINE)
    assert (
        node.run("systemctl", "list-units", "--all", "--plain", "-q", "formation*")
        == ""
    )
