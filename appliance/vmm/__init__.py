"""vmm-service: virtual machines under libvirt."""

from appliance.vmm.domain import InstanceSpec
from appliance.vmm.health import probe_health
from appliance.vmm.instances import (
    boot,
    console_tail,
    create,
    delete,
    domain_state,
    folder,
    kernel_arguments,
    shutdown,
)
from appliance.vmm.probe import accelerator
from appliance.vmm.room import check_capacity

__all__ = [
    "InstanceSpec",
    "accelerator",
    "boot",
    "check_capacity",
    "console_tail",
    "create",
    "delete",
    "domain_state",
    "folder",
    "kernel_arguments",
    "probe_health",
    "shutdown",
]
