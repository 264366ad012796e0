"""What vmm-service measures, against libvirt's test driver."""

from __future__ import annotations

from appliance import state
from appliance.config import Settings
from appliance.state.server import StateServer
from appliance.vmm import libvirt, measures
from tests.vmm.test_libvirt import XML, driver

__all__ = ["driver"]
GAUGES = ("memory", "memory_promised", "instances")


def test_promised_memory_is_that_of_instances_that_should_run(
    settings: Settings, records: StateServer, driver: None
) -> None:
    body = {"desired": "running", "memory_mib": 512, "vcpu": 1, "disk_gib": 4}
    state.put("instance", "one", body)
    state.put("instance", "two", body | {"desired": "stopped"})
    libvirt.define(XML)
    libvirt.start("one")
    found = {(r.subject, r.metric): r for r in measures.read(settings)}
    libvirt.undefine("one")
    assert found["node", "memory_promised"].value == 512 << 20
    assert found["node", "instances"].value == 1
    for (subject, metric), reading in found.items():
        assert reading.counter == (metric not in GAUGES)
        assert subject in ("node", "one")
