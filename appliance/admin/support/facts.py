"""What this machine is: versions, hardware, network, libvirt."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import psutil

from appliance import cgroups, clock, identity, state, vmm
from appliance.config import Settings
from appliance.plain import harmless
from appliance.supervision import SYSTEMD

Document = dict[str, Any]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = {
    "caddy": "version",
    "ip": "-V",
    "libvirtd": "--version",
    "mke2fs": "-V",
    "nft": "--version",
    "qemu-system-x86_64": "--version",
    "supervisord": "--version",
    "systemctl": "--version",
}


def versions(settings: Settings) -> Document:
    return {
        "formation": version("formation"),
        "node": identity.node_id(settings),
        "python": sys.version,
        "kernel": platform.version(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "system": system(),
        "programs": {name: said(name, how) for name, how in PROGRAMS.items()},
        "packages": {name: installed(name) for name in needed()},
    }


def system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def said(program: str, how: str) -> str:
    """The first line of what it says of its version."""
    path = shutil.which(program, path=PATH)
    if path is None:
        return "not there"
    try:
        done = subprocess.run(
            [path, how],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    return next(iter((done.stdout.strip() or done.stderr.strip()).splitlines()), "")


def needed() -> list[str]:
    """The packages that the node is made of."""
    lines = (line for line in requires("formation") or () if "extra ==" not in line)
    return sorted(re.split(r"[<>=!~\[; ]", line)[0] for line in lines)


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not there"


def host(settings: Settings) -> Document:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "now": clock.rfc3339(clock.now()),
        "up_since": clock.rfc3339(psutil.boot_time()),
        "cpus": psutil.cpu_count(),
        "load": psutil.getloadavg(),
        "memory": {"total": memory.total, "available": memory.available},
        "swap": {"total": swap.total, "used": swap.used},
        "disks": disks(settings),
        "systemd": SYSTEMD.exists(),
        "kvm": os.access("/dev/kvm", os.R_OK | os.W_OK),
        "accelerator": vmm.known_accelerator(settings),
        "cgroups": sorted(cgroups.controllers()),
        "pressure": pressure(),
    }


def disks(settings: Settings) -> Document:
    found = {}
    for name in ("data_dir", "images_dir", "instances_dir", "log_dir", "run_dir"):
        folder: Path = getattr(settings, name)
        if folder.exists():
            disk = psutil.disk_usage(str(folder))
            found[name] = {"at": str(folder), "total": disk.total, "free": disk.free}
    return found


def pressure() -> dict[str, str]:
    """What waits for CPU, memory and disk, where the kernel says so."""
    files = (Path("/proc/pressure", name) for name in ("cpu", "memory", "io"))
    found = {}
    for file in files:
        try:
            found[file.name] = file.read_text().strip()
        except OSError:
            continue
    return found


def network(settings: Settings) -> Document:
    """Interfaces, and what formnet reported last."""
    interfaces = {
        name: [found.address for found in addresses if found.family.name != "AF_PACKET"]
        for name, addresses in psutil.net_if_addrs().items()
    }
    report = settings.run_dir / "formnet" / "report.json"
    found = json.loads(report.read_text()) if report.exists() else "no report"
    return {"interfaces": interfaces, "formnet": found}


def kernel(settings: Settings) -> str:
    """What it warned of since its start: dmesg(1)."""
    done = subprocess.run(
        ["dmesg", "--level=emerg,alert,crit,err,warn"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=10,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr.strip())
    return harmless(done.stdout)


def libvirt(settings: Settings) -> Document:
    return {"about": vmm.about(), "machines": vmm.states(), "strays": vmm.strays()}


def records(settings: Settings) -> Document:
    kinds = ("node", "account", "agent", "version", "deployment", "instance", "domain")
    members = ("agent", "version", "desired", "state", "reason", "address")
    return {
        "counts": {kind: state.count(kind) for kind in kinds},
        "instances": {
            record.id: {name: record.body.get(name) for name in members}
            for record in state.select("instance")
        },
    }
