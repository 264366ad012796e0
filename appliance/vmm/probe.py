"""KVM or emulation? Only a boot tells: a capability list proves nothing."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
from pathlib import Path

from appliance.config import Settings
from appliance.service import write_json

PROBE_S = 8.0
MARK = b"formation: kernel up"


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_probing = threading.Lock()


def note(settings: Settings) -> Path:
    return settings.data_dir / "vmm" / "accelerator.json"


def known_accelerator(settings: Settings) -> str | None:
    """`kvm` or `tcg`, by the setting or by this boot's probe; None until it ended."""
    if settings.vmm.accelerator != "probe":
        return settings.vmm.accelerator
    try:
        found = json.loads(note(settings).read_text())
        return str(found["accelerator"]) if found["boot"] == this_boot() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def accelerator(settings: Settings) -> str:
    """The same, with a probe where there was none since the machine started."""
    with _probing:
        known = known_accelerator(settings)
        if known is not None:
            return known
        base = settings.base_dir / "debian-13"
        verdict = "kvm" if boots_under_kvm(base) else "tcg"
        if base.exists():  # without a guest to boot nothing was learned
            write_json(note(settings), {"accelerator": verdict, "boot": this_boot()})
        return verdict


def probe_again(settings: Settings) -> str:
    """The same, by a probe now."""
    note(settings).unlink(missing_ok=True)
    return accelerator(settings)


def this_boot() -> str:
    """Changes when the machine restarts, as when its firmware was set anew."""
    return BOOT_ID.read_text().strip()


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
