"""The libvirt domain of an instance, as XML. Pure. https://libvirt.org/formatdomain"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from appliance import formnet

CMDLINE = "console=ttyS0 quiet panic=5"

GUEST_AGENT = "org.qemu.guest_agent.0"


@dataclass(frozen=True)
class InstanceSpec:
    """What one VM is made from. `env` holds secrets: it goes to the seed alone;
    `gpus` are PCI addresses on the node, such as 0000:01:00.0."""

    id: str
    hostname: str
    image: Path
    base_dir: Path
    folder: Path
    vcpu: int
    memory_mib: int
    disk_gib: int
    bridge: str
    address: str
    prefix: int
    gateway: str
    accelerator: str = "tcg"
    cmdline: str = CMDLINE
    volumes: tuple[tuple[str, Path], ...] = ()
    gpus: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict, repr=False)
    shadow: tuple[str, ...] = field(default=(), repr=False)
    expire: tuple[str, ...] = ()


def domain_name(instance: str) -> str:
    return f"formation-{instance}"


def domain_xml(spec: InstanceSpec) -> str:
    """Direct kernel boot; overlay, seed and volumes on virtio; one NIC."""
    kind = "kvm" if spec.accelerator == "kvm" else "qemu"
    domain = Element("domain", type=kind)
    _text(domain, "name", domain_name(spec.id))
    _text(domain, "memory", str(spec.memory_mib), unit="MiB")
    _text(domain, "vcpu", str(spec.vcpu))
    system = SubElement(domain, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="q35")
    _text(system, "kernel", str(spec.base_dir / "vmlinuz"))
    _text(system, "initrd", str(spec.base_dir / "initrd.img"))
    _text(system, "cmdline", spec.cmdline)
    SubElement(SubElement(domain, "features"), "acpi")
    if kind == "kvm":
        SubElement(domain, "cpu", mode="host-passthrough")
    _text(domain, "on_crash", "destroy")
    devices = SubElement(domain, "devices")
    _disk(devices, "vda", "qcow2", spec.folder / "disk.qcow2")
    _disk(devices, "vdb", "raw", spec.folder / "seed.tar", "seed")
    for number, (serial, path) in enumerate(spec.volumes):
        _disk(devices, f"vd{chr(ord('c') + number)}", "raw", path, serial)
    _network(devices, spec)
    for address in spec.gpus:
        _host_device(devices, address)
    _console(devices, spec)
    rng = SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    SubElement(devices, "memballoon", model="none")
    return tostring(domain, encoding="unicode")


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element


def _disk(
    devices: Element, target: str, kind: str, path: Path, serial: str = ""
) -> None:
    disk = SubElement(devices, "disk", type="file", device="disk")
    SubElement(disk, "driver", name="qemu", type=kind, discard="unmap")
    SubElement(disk, "source", file=str(path))
    SubElement(disk, "target", dev=target, bus="virtio")
    if serial:
        _text(disk, "serial", serial)


def _network(devices: Element, spec: InstanceSpec) -> None:
    interface = SubElement(devices, "interface", type="bridge")
    SubElement(interface, "mac", address=formnet.mac(spec.address))
    SubElement(interface, "target", dev=formnet.port(spec.address))
    SubElement(interface, "source", bridge=spec.bridge)
    SubElement(interface, "model", type="virtio")
    SubElement(interface, "port", isolated="yes")


def _host_device(devices: Element, address: str) -> None:
    """libvirt takes it from its driver at the start and gives it back at the end."""
    bus, _, function = address.rpartition(".")
    parts = dict(zip(("domain", "bus", "slot"), bus.split(":"), strict=True))
    parts["function"] = function
    hostdev = SubElement(
        devices, "hostdev", mode="subsystem", type="pci", managed="yes"
    )
    source = SubElement(hostdev, "source")
    SubElement(source, "address", {name: f"0x{part}" for name, part in parts.items()})


def _console(devices: Element, spec: InstanceSpec) -> None:
    log = str(spec.folder / "console.log")
    serial = SubElement(devices, "serial", type="pty")
    SubElement(serial, "log", file=log, append="on")
    SubElement(serial, "target", port="0")
    console = SubElement(devices, "console", type="pty")
    SubElement(console, "target", type="serial", port="0")
    channel = SubElement(devices, "channel", type="unix")
    SubElement(channel, "target", type="virtio", name=GUEST_AGENT)
