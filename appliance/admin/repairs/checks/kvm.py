"""Do machines run at the processor's own speed?"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from appliance import vmm
from appliance.admin.repairs.issue import Fix, Issue, Repair
from appliance.config import Settings, settings
from appliance.operations import Run
from appliance.supervision import SYSTEMD

DEVICE = Path("/dev/kvm")
CPUINFO = Path("/proc/cpuinfo")
MODULES = {"vmx": "kvm_intel", "svm": "kvm_amd"}


def find(config: Settings) -> Iterator[Issue]:
    if config.vmm.accelerator == "kvm" and not DEVICE.exists():
        yield missing()
    elif config.vmm.accelerator == "probe" and vmm.known_accelerator(config) == "tcg":
        yield slow()


def missing() -> Issue:
    return Issue(
        "critical",
        "KVM is missing",
        f"vmm.accelerator is kvm, and there is no {DEVICE}: no machine can start. "
        f"{why()}",
        "Switch virtualisation on in the firmware, or nested virtualisation on the "
        "host; or set vmm.accelerator to probe.",
        fix=load(),
        link="/admin/settings",
    )


def slow() -> Issue:
    return Issue(
        "warning",
        "Machines are emulated",
        f"No guest boots under KVM here, so they are about ten times slower. {why()}",
        "Switch virtualisation on in the firmware, or nested virtualisation on the "
        "host; set vmm.accelerator to tcg where emulation is what you want.",
        fix=Fix("Try again"),
    )


def why() -> str:
    if DEVICE.exists():
        return f"{DEVICE} is there, but a guest did not boot with it."
    if module():
        return f"The processor could, but {DEVICE} is not there: a module is missing."
    return "The processor shows no virtualisation."


def module() -> str:
    """The kernel's module for this processor; empty where it cannot virtualise."""
    flags = CPUINFO.read_text().split()
    return next((name for flag, name in MODULES.items() if flag in flags), "")


def load() -> Fix | None:
    return Fix("Load its module") if module() else None


def loading(name: str) -> list[str]:
    """The command; under systemd its unit does it, since formation-jobs may not."""
    if SYSTEMD.exists():
        return ["systemctl", "start", f"modprobe@{name}.service"]
    return ["modprobe", name]


def mend(run: Run, subject: str) -> None:
    """Load the module where it is missing, and boot a test guest again."""
    if module() and not DEVICE.exists():
        done = subprocess.run(
            loading(module()), capture_output=True, text=True, check=False
        )
        run.log(f"modprobe {module()}: {done.stderr.strip()[:300] or 'done'}")
    run.progress(None, "a test guest boots")
    run.log(f"machines run by {vmm.probe_again(settings())}")


REPAIR = Repair("kvm", "Virtualisation", find, mend)
