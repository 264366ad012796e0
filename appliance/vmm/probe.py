"""KVM or emulation? Only a boot tells: a capability list proves nothing."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path

from appliance.config import Settings
from appliance.service import write_json

PROBE_S = 8.0
MARK = b"formation: kernel up"


def accelerator(settings: Settings) -> str:
    """`kvm` or `tcg`, by the setting or by a boot that is remembered."""
    if settings.vmm.accelerator != "probe":
        return settings.vmm.accelerator
    note = settings.data_dir / "vmm" / "accelerator.json"
    try:
        return str(json.loads(note.read_text())["accelerator"])
    except (OSError, ValueError, KeyError):
        verdict = "kvm" if boots_under_kvm(settings.base_dir / "debian-13") else "tcg"
        write_json(note, {"accelerator": verdict})
        return verdict


def boots_under_kvm(base: Path) -> bool:
    """Boot kernel and initrd under KVM and wait for the first line."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or not base.exists():
        return False
    command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256"]
    command += ["-kernel", str(base / "vmlinuz"), "-initrd", str(base / "initrd.img")]
    command += ["-append", "console=ttyS0 quiet panic=-1", "-no-reboot"]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as qemu:
        try:
            return qemu.stdout is not None and _says(qemu.stdout.fileno())
        finally:
            qemu.kill()


def _says(handle: int) -> bool:
    heard, end = b"", time.monotonic() + PROBE_S
    while MARK not in heard:
        left = end - time.monotonic()
        if left <= 0 or not select.select([handle], [], [], left)[0]:
            return False
        chunk = os.read(handle, 4096)
        if not chunk:
            return False
        heard += chunk
    return True
