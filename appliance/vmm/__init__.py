"""vmm-service: virtual machines under libvirt."""

from appliance.vmm.domain import InstanceSpec
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

__all__ = [
    "InstanceSpec",
    "boot",
    "console_tail",
    "create",
    "delete",
    "domain_state",
    "folder",
    "kernel_arguments",
    "shutdown",
]
