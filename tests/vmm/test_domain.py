"""A domain as libvirt's schema has it."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import fromstring

import libvirt
import pytest

from appliance.vmm.domain import InstanceSpec, domain_xml


def spec(*gpus: str) -> InstanceSpec:
    return InstanceSpec(
        id="one",
        hostname="one",
        image=Path("/i.qcow2"),
        base_dir=Path("/base"),
        folder=Path("/one"),
        vcpu=2,
        memory_mib=512,
        disk_gib=5,
        bridge="formation0",
        address="10.42.0.2",
        prefix=24,
        gateway="10.42.0.1",
        volumes=(("volume0", Path("/v.raw")),),
        gpus=gpus,
    )


def define(xml: str) -> None:
    """As vmm-service does, but with libvirt's test driver, checked by its schema."""
    connection = libvirt.open("test:///default")
    tested = xml.replace('type="qemu"', 'type="test"', 1)
    validate = libvirt.VIR_DOMAIN_DEFINE_VALIDATE
    connection.defineXMLFlags(tested, validate).undefine()
    connection.close()


@pytest.mark.parametrize("gpus", [(), ("0000:01:00.0", "0000:01:00.1")])
def test_a_domain_is_by_libvirts_schema(gpus: tuple[str, ...]) -> None:
    define(domain_xml(spec(*gpus)))


def test_the_schema_refuses_what_is_wrong() -> None:
    wrong = domain_xml(spec("0000:01:00.0")).replace('function="0x0"', 'function="9"')
    with pytest.raises(libvirt.libvirtError, match="validate"):
        define(wrong)


def test_a_gpu_is_a_managed_host_device_at_its_address() -> None:
    domain = fromstring(domain_xml(spec("0001:0a:1f.7")))  # noqa: S314
    (device,) = domain.findall("devices/hostdev")
    assert device.attrib == {"mode": "subsystem", "type": "pci", "managed": "yes"}
    address = device.find("source/address")
    assert address is not None
    assert address.attrib == {
        "domain": "0x0001",
        "bus": "0x0a",
        "slot": "0x1f",
        "function": "0x7",
    }


def test_a_domain_without_gpus_has_no_host_device() -> None:
    assert "hostdev" not in domain_xml(spec())
