"""One guest under plain QEMU emulation, driven through its own sockets."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import socket
import subprocess
import tarfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

GUEST_AGENT = "org.qemu.guest_agent.0"
MAC = "52:54:00:12:34:56"


def make_disk(base: Path, folder: Path, image_files: dict[str, str]) -> Path:
    """An ext4 image of the base's tree with the pack builder's files added."""
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "-xf", base / "rootfs.tar", "-C", tree], check=True)
    for name, text in image_files.items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)
    disk = folder / "root.img"
    with disk.open("wb") as file:
        file.truncate(600 * 2**20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk], check=True)
    shutil.rmtree(tree)
    return disk


def make_overlay(disk: Path, target: Path, size: str) -> Path:
    backing = ["-f", "qcow2", "-b", str(disk), "-F", "raw"]
    subprocess.run(["qemu-img", "create", "-q", *backing, target, size], check=True)
    return target


def make_seed(target: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, BytesIO(content))
    return target


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Machine:
    """A started guest; `close` ends it and its process."""

    base: Path
    folder: Path
    root: Path
    seed: Path
    volume: Path
    port: int = field(default_factory=free_port)
    lines: list[str] = field(default_factory=list)

    def start(self) -> Machine:
        self.arrived = threading.Condition()
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.reader = threading.Thread(target=self.read_console)
        self.reader.start()
        return self

    def command(self) -> list[str]:
        manifest = json.loads((self.base / "manifest.json").read_text())
        command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nodefaults"]
        command += ["-display", "none", "-serial", "stdio"]
        command += ["-kernel", f"{self.base}/vmlinuz"]
        command += ["-initrd", f"{self.base}/initrd.img"]
        command += ["-append", manifest["cmdline"]]
        for name, file, kind in (
            ("root", self.root, "qcow2"),
            ("seed", self.seed, "raw,readonly=on"),
            ("vol1", self.volume, "raw"),
        ):
            command += ["-drive", f"if=none,id={name},file={file},format={kind}"]
            command += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
        forward = f"hostfwd=tcp:127.0.0.1:{self.port}-:8000"
        command += ["-netdev", f"user,id=net,{forward}"]
        command += ["-device", f"virtio-net-pci,netdev=net,mac={MAC}"]
        command += ["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
        command += ["-chardev", f"socket,id=qga,path={self.qga},server=on,wait=off"]
        command += ["-device", f"virtserialport,chardev=qga,name={GUEST_AGENT}"]
        return [*command, "-qmp", f"unix:{self.qmp},server=on,wait=off"]

    @property
    def qga(self) -> Path:
        return self.folder / "qga.sock"

    @property
    def qmp(self) -> Path:
        return self.folder / "qmp.sock"

    def read_console(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(line.decode(errors="replace").strip())
                self.arrived.notify_all()

    def wait_line(self, start: str, after: int = 0, timeout: float = 40) -> str:
        """The first console line from number `after` on that begins so."""

        def found() -> str | None:
            hits = (line for line in self.lines[after:] if line.startswith(start))
            return next(hits, None)

        with self.arrived:
            assert self.arrived.wait_for(found, timeout), (start, self.lines)
            hit = found()
        assert hit
        return hit

    def get(self, path: str = "/", timeout: float = 40) -> str:
        """The agent's answer; tries again until it listens."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}{path}"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return str(answer.read().decode())
            except OSError:
                assert time.monotonic() < deadline, self.lines
                select.select([], [], [], 0.05)

    def ask(self, command: str, **arguments: object) -> object:
        """What the guest agent returns."""
        request = {"execute": command, "arguments": arguments}
        return talk(self.qga, json.dumps(request))["return"]

    def shell(self, line: str) -> str:
        """The output of a shell line, run by the guest agent."""
        options = {"path": "/bin/sh", "arg": ["-c", line], "capture-output": True}
        started = self.ask("guest-exec", **options)
        assert isinstance(started, dict)
        while True:
            status = self.ask("guest-exec-status", pid=started["pid"])
            assert isinstance(status, dict)
            if status["exited"]:
                return base64.b64decode(status.get("out-data", "")).decode()
            select.select([], [], [], 0.05)

    def wait_shell(self, test: str, timeout: float = 90) -> None:
        """Until a shell line ends well; the guest agent may not be there yet."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                if self.shell(f"if {test}; then echo yes; fi") == "yes\n":
                    return
            except (OSError, ValueError):
                pass
            assert time.monotonic() < deadline, (test, self.lines)
            select.select([], [], [], 0.1)

    def press_power_button(self) -> None:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.qmp))
            stream = link.makefile("rwb")
            stream.readline()
            for command in ("qmp_capabilities", "system_powerdown"):
                stream.write(json.dumps({"execute": command}).encode() + b"\n")
                stream.flush()
                stream.readline()

    def wait_off(self, timeout: float = 10) -> float:
        """Seconds until the machine has switched itself off."""
        began = time.monotonic()
        self.process.wait(timeout)
        return time.monotonic() - began

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout
        self.process.stdout.close()


def talk(path: Path, line: str) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(str(path))
        link.sendall(line.encode() + b"\n")
        answer = json.loads(link.makefile("rb").readline())
    assert isinstance(answer, dict)
    return answer


def base_folder() -> Path:
    default = "/var/lib/formation/base/debian-13"
    return Path(os.environ.get("FORMATION_TEST_BASE", default))
