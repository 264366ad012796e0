"""vmm-service: virtual machines under libvirt."""

from appliance.vmm.domain import InstanceSpec
from appliance.vmm.health import probe_health
from appliance.vmm.instances import (
    about,
    agent_lines,
    boot,
    console_after,
    console_tail,
    create,
    delete,
    domain_state,
    folder,
    forget,
    kernel_arguments,
    shutdown,
    states,
)
from appliance.vmm.leftovers import backing_images, strays, sweep
from appliance.vmm.pci import choose_gpus, gpus
from appliance.vmm.probe import accelerator, known_accelerator, probe_again
from appliance.vmm.room import check_capacity
from appliance.vmm.volumes import (
    Volume,
    delete_volume,
    find_volume,
    volume_file,
    volumes,
)

__all__ = [
    "InstanceSpec",
    "Volume",
    "about",
    "accelerator",
    "backing_images",
    "agent_lines",
    "boot",
    "check_capacity",
    "choose_gpus",
    "console_after",
    "console_tail",
    "create",
    "delete",
    "delete_volume",
    "domain_state",
    "find_volume",
    "folder",
    "forget",
    "gpus",
    "kernel_arguments",
    "known_accelerator",
    "probe_again",
    "probe_health",
    "shutdown",
    "states",
    "strays",
    "sweep",
    "volume_file",
    "volumes",
]
