"""A whole node of its own: folders, ports, bridge; served by `form serve`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[2]
PREFIX = os.environ.get("FORMATION_TEST_PREFIX", "/opt/formation-test")
FORM = f"{PREFIX}/bin/form"
START_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(found: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition, or fail saying what was waited for."""
    pause = threading.Event()
    for _ in range(int(seconds * 10)):
        if found():
            return
        pause.wait(0.1)
    pytest.fail(f"{what}: not within {seconds} s")


@dataclass
class Node:
    environment: dict[str, str]
    folder: Path
    port: int
    dns_port: int
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def claim(self) -> str:
        return (self.folder / "data/node/claim").read_text()

    def form(self, *arguments: str, check: bool = True) -> str:
        command = [FORM, *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout + done.stderr

    def logs(self) -> str:
        files = sorted((self.folder / "log").glob("*.log"))
        return "\n".join(f"== {f.name}\n{f.read_text()[-1500:]}" for f in files)

    def dig(self, name: str, *options: str) -> str:
        command = ["dig", "@127.0.0.1", "-p", str(self.dns_port), *options, name]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def is_up(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail((self.folder / "serve.log").read_text() + self.logs())
        return self.answers()

    def step(self) -> str:
        """What the newest operation is at; empty between steps."""
        database = f"file:{self.folder}/data/node/node.db?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as link:
            newest = "select steps from operation order by id desc limit 1"
            (steps,) = link.execute(newest).fetchone() or ("[]",)
        return next((s["name"] for s in json.loads(steps) if s["state"] == "now"), "")

    def start(self) -> None:
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [FORM, "serve"],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        until(self.is_up, START_S, "the node answers")

    def processes(self) -> list[str]:
        """Command lines of all that belongs to this node."""
        lines = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
        return [" ".join(line) for line in lines if str(self.folder) in " ".join(line)]

    def supervise(self, *command: str) -> str:
        socket_ = f"unix://{self.folder}/run/supervisor.sock"
        ask = ["/usr/bin/supervisorctl", "-s", socket_, *command]
        return subprocess.run(ask, capture_output=True, text=True).stdout

    def kill(self, program: str) -> None:
        """kill -9 one of the node's processes; supervisord starts it again."""
        os.kill(int(self.supervise("pid", program)), signal.SIGKILL)


def environment(folder: Path, port: int, dns_port: int) -> dict[str, str]:
    names = {
        f"FORMATION_{n.upper()}_DIR": str(folder / n) for n in ("data", "run", "log")
    }
    return {
        **os.environ,
        **names,
        "FORMATION_CONFIG": str(folder / "formation.toml"),
        "FORMATION_HTTP__PORT": str(port),
        "FORMATION_HTTP__HTTPS_PORT": str(free_port()),
        "FORMATION_DNS__PORT": str(dns_port),
        "FORMATION_FORMNET__BRIDGE": "formtest0",
        "FORMATION_FORMNET__CIDR": "10.213.0.0/16",
        "FORMATION_VMM__ACCELERATOR": "tcg",
    }


@pytest.fixture(scope="session")
def installed() -> None:
    """This checkout as run.sh installs it; nothing is done when it is current."""
    environment = {**os.environ, "FORMATION_PREFIX": PREFIX}
    command = ["bash", "-euc", ". ./install.sh; install_node"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def forget_machines(folder: Path) -> None:
    """What libvirt would keep of a node's machines, whose disks go with the folder."""
    for file in Path("/etc/libvirt/qemu").glob("formation-*.xml"):
        if f"{folder}/" in file.read_text():
            file.unlink()


@pytest.fixture(scope="module")
def node(installed: None) -> Iterator[Node]:
    folder = Path(tempfile.mkdtemp(prefix="formation-e2e-", dir="/var/tmp"))
    folder.chmod(0o711)  # a build's user must reach its layers
    default = "/var/lib/formation/base/debian-13"
    base = Path(os.environ.get("FORMATION_TEST_BASE", default))
    (folder / "data/base").mkdir(parents=True)
    (folder / "data/base/debian-13").symlink_to(base)
    port, dns_port = free_port(), free_port()
    settings = environment(folder, port, dns_port)
    found = Node(settings, folder, port, dns_port)
    try:
        found.start()
        yield found
    finally:
        found.process.terminate()
        found.process.wait(90)
        subprocess.run(["ip", "link", "delete", "formtest0"], capture_output=True)
        subprocess.run(
            ["nft", "delete", "table", "inet", "formation"], capture_output=True
        )
        forget_machines(folder)
        shutil.rmtree(folder, ignore_errors=True)
