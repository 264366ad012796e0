"""The appliance in QEMU: emulated, by UEFI, on a copy-on-write disk of its own.

What only its inside can tell comes over a second serial line, from a unit that is
handed in as a credential (systemd.system-credentials(7)): nothing in the image is for
tests.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from base64 import b64encode
from pathlib import Path

import httpx

IMAGE = Path(os.environ.get("FORMATION_TEST_IMAGE", "/nonexistent"))
OVMF = Path("/usr/share/OVMF")
MIB = 1 << 20
ASKED = {
    "failed": "systemctl --failed --plain --no-legend | cut -d' ' -f1",
    "memory": "awk '/MemTotal/{t=$$2} /MemAvailable/{print t-$$2}' /proc/meminfo",
    "data": "findmnt -bno SIZE /var; findmnt -no FSTYPE /etc",
    "root": "findmnt -no OPTIONS / | cut -d, -f1",
    "entries": "ls $$(bootctl -p)/EFI/Linux",
    "ports": "ss -Hltun | awk '{print $$1, $$5}' | sort -u",
}
LINES = "; ".join(f"echo {name}: $({asked})" for name, asked in ASKED.items())
PROBE = f"""[Unit]
After=multi-user.target systemd-bless-boot.service formation-tried.service
[Service]
Type=oneshot
StandardOutput=file:/dev/ttyS1
ExecStart=/bin/sh -c "{LINES}; echo told"
"""
WANTED = "[Unit]\nWants=formation-probe.service formation-tried.service\n"


def credential(name: str, text: str) -> list[str]:
    value = b64encode(text.encode()).decode()
    return ["-smbios", f"type=11,value=io.systemd.credential.binary:{name}={value}"]


class Appliance:
    """`folder` keeps its disk and firmware between starts."""

    def __init__(self, folder: Path, *drives: Path, gib: int = 12) -> None:
        self.folder = folder
        self._drives = [f"if=virtio,format=raw,file={drive}" for drive in drives]
        image = next(IMAGE.glob("formation_*.qcow2"))
        disk = ["-b", str(image), "-F", "qcow2", str(folder / "disk.qcow2"), f"{gib}G"]
        make = ["qemu-img", "create", "-q", "-f", "qcow2", *disk]
        subprocess.run(make, check=True)
        shutil.copyfile(OVMF / "OVMF_VARS_4M.fd", folder / "vars.fd")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, firmware: bool = True, unit: str = "") -> None:
        """Power it on, without `firmware` by BIOS; `unit` is one more that it runs."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        for name in ("screen", "told"):
            (self.folder / name).unlink(missing_ok=True)
        code = OVMF / "OVMF_CODE_4M.fd"
        user = f"user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:8443"
        drives = [f"if=virtio,file={self.folder}/disk.qcow2", *self._drives]
        argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"]
        argv += ["-cpu", "max", "-smp", "2", "-m", "2048", "-display", "none"]
        if firmware:
            argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
            argv += ["-drive", f"if=pflash,format=raw,file={self.folder}/vars.fd"]
        argv += [word for drive in drives for word in ("-drive", drive)]
        argv += ["-netdev", user, "-device", "virtio-net-pci,netdev=n"]
        argv += ["-device", "virtio-rng-pci", "-no-reboot"]
        argv += ["-serial", f"file:{self.folder}/screen"]
        argv += ["-serial", f"file:{self.folder}/told"]
        argv += credential("systemd.extra-unit.formation-probe.service", PROBE)
        argv += credential("systemd.unit-dropin.multi-user.target", WANTED)
        if unit:
            argv += credential("systemd.extra-unit.formation-tried.service", unit)
        self.process = subprocess.Popen(argv)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def screen(self) -> str:
        return (self.folder / "screen").read_text(errors="replace")

    def told(self, seconds: float = 600) -> dict[str, str]:
        """What the unit says of the inside once all has started."""
        file, pause = self.folder / "told", threading.Event()
        for _ in range(int(seconds * 4)):
            lines = file.read_text().splitlines() if file.exists() else []
            if "told" in lines:
                pairs = (line.partition(":") for line in lines)
                return {name: value.strip() for name, _, value in pairs}
            assert self.process is not None and self.process.poll() is None
            pause.wait(0.25)
        raise AssertionError(f"it tells nothing: {self.screen[-2000:]}")

    def page(self, path: str, seconds: float = 600) -> httpx.Response:
        """The page, as soon as it is answered."""
        pause = threading.Event()
        for _ in range(int(seconds * 2)):
            try:
                return httpx.get(
                    f"https://127.0.0.1:{self.port}{path}",
                    verify=False,
                    timeout=20,
                    follow_redirects=True,
                )
            except httpx.TransportError:
                assert self.process is not None and self.process.poll() is None
                pause.wait(0.5)
        raise AssertionError(f"no page: {self.screen[-2000:]}")
