"""What a machine needs to be a node, each with a plain verdict and a cure."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import psutil

from appliance.admin import listeners
from appliance.admin.ports import wanted
from appliance.admin.serving import accepts
from appliance.config import Settings
from appliance.service import Check, Verdict, plugins, services

LIBVIRT = Path("/run/libvirt/libvirt-sock-ro")


def kvm(settings: Settings) -> Verdict:
    from appliance import vmm

    found = vmm.known_accelerator(settings)
    if found is None:
        return Verdict(
            True, "a test guest is booting, to see if KVM works", "", True, True
        )
    if found == "kvm":
        return Verdict(True, "KVM works: a guest was booted with it")
    return Verdict(
        True,
        "emulation: no guest boots under KVM here, VMs run about ten times slower",
        "Switch virtualisation on in the firmware, or nested virtualisation on the "
        "host.",
        warning=True,
    )


def cpu(settings: Settings) -> Verdict:
    count = psutil.cpu_count() or 1
    return Verdict(count >= 2, f"{count} CPUs", "Two or more CPUs are better.")


def memory(settings: Settings) -> Verdict:
    gib = psutil.virtual_memory().total / 2**30
    return Verdict(gib >= 2, f"{gib:.1f} GiB", "At least 2 GiB are needed.")


def disk(settings: Settings) -> Verdict:
    gib = psutil.disk_usage(str(settings.data_dir)).free / 2**30
    cure = f"Free some space, or move {settings.data_dir} to a larger disk."
    return Verdict(gib >= 10, f"{gib:.0f} GiB free", cure)


def libvirt(settings: Settings) -> Verdict:
    there = accepts(LIBVIRT)
    cure = "Start libvirtd: systemctl start libvirtd."
    return Verdict(there, "libvirt answers" if there else "libvirt is not there", cure)


def dns_port(settings: Settings) -> Verdict:
    """Looked at from outside: trying the port would take it from form-dns."""
    found = listeners.listeners()
    for port in wanted(settings):
        there = listeners.at(port, found) if port.process == "dns" else None
        if there is None:
            continue
        who = listeners.holder(settings, there)
        if who == listeners.OURS:
            return Verdict(True, f"form-dns answers at port {port.number}")
        cure = "End that program, or choose another port: dns.port."
        return Verdict(False, f"{port} is taken by {who}", cure)
    return Verdict(True, f"port {settings.dns.port} is free for names")


def clock(settings: Settings) -> Verdict:
    year = datetime.now(UTC).year
    return Verdict(year >= 2025, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "Set it.")


def all_checks() -> tuple[Check, ...]:
    """The node's own, those of its services, and those of plug-ins."""
    of_services = [c for service in services().values() for c in service.checks()]
    return (*CHECKS, *of_services, *plugins("formation.checks").values())


CHECKS = (
    Check("kvm", "Virtualisation", kvm),
    Check("cpu", "CPU", cpu),
    Check("memory", "Memory", memory),
    Check("disk", "Disk", disk),
    Check("libvirt", "libvirt", libvirt),
    Check("ports", "Ports", dns_port),
    Check("clock", "Clock", clock),
)
