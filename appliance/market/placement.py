"""Where a deployment's instance goes: room, address and GPUs, and what its VM is
to be."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from appliance import clock, formnet, identity, pack, state, vmm
from appliance.config import settings
from appliance.operations import Run

_placing = threading.Lock()  # room, address and GPUs are looked for and taken in one go


def place(run: Run) -> None:
    """Find room, an address and GPUs, and write the Instance before its VM exists."""
    formfile = pack.from_document(run.memory["formfile"])
    network = formnet.ensure_network(settings())
    with _placing:
        record = state.find("instance", run.id)
        if record is None:
            _must_have_room(run.params["owner_name"], formfile)
            taken = {r.body["address"] for r in state.select("instance")}
            address = formnet.free_address(network.block, taken)
            body = _instance_body(run, formfile, address)
            body["gpus"] = choose_gpus(run.memory["agent"], formfile)
            record = state.put("instance", run.id, body)
    for gpu in record.body["gpus"]:
        run.log(f"GPU {gpu['name']} at {gpu['address']}")
    vmm.create(_spec(run, formfile, record.body, network))


def _must_have_room(owner: str, formfile: pack.Formfile) -> None:
    """Memory, CPUs, and disk for itself and each volume that is not there yet."""
    config = settings()
    files = [
        vmm.volume_file(config, owner, formfile.name, path) for path in formfile.volumes
    ]
    disks = 1 + sum(not file.exists() for file in files)
    vmm.check_capacity(
        formfile.memory_mib,
        formfile.vcpu,
        formfile.disk_gib * disks,
        lambda: pack.collectable(config),
    )


def choose_gpus(agent: str, formfile: pack.Formfile) -> list[dict[str, Any]]:
    """Asked before a build that would be in vain; taken when the instance is placed."""
    wishes = [(gpu.model, gpu.count) for gpu in formfile.gpus]
    return vmm.choose_gpus(wishes, agent)


def _instance_body(run: Run, formfile: pack.Formfile, address: str) -> dict[str, Any]:
    return {
        "agent": run.memory["agent"],
        "owner_name": run.params["owner_name"],
        "name": formfile.name,
        "version": run.memory["version"],
        "deployment": run.id,
        "slot": 0,
        "node": identity.node_id(settings()),
        "address": address,
        "port": formfile.agent_port,
        "health_path": formfile.healthcheck,
        "desired": "running",
        "state": "created",
        "reason": "",
        "image": run.memory["image"],
        "vcpu": formfile.vcpu,
        "memory_mib": formfile.memory_mib,
        "disk_gib": formfile.disk_gib,
        "volumes": list(formfile.volumes),
        "created": clock.rfc3339(clock.now()),
    }


def _spec(
    run: Run, formfile: pack.Formfile, body: dict[str, Any], network: formnet.Network
) -> vmm.InstanceSpec:
    from appliance.market.secrets import reveal

    config = settings()
    owner = run.params["owner_name"]
    return vmm.InstanceSpec(
        id=run.memory["instance"],
        hostname=formfile.name,
        image=config.images_dir / f"{run.memory['image']}.qcow2",
        base_dir=base_dir(formfile),
        folder=config.instances_dir / run.memory["instance"],
        vcpu=formfile.vcpu,
        memory_mib=formfile.memory_mib,
        disk_gib=formfile.disk_gib,
        bridge=network.bridge,
        address=body["address"],
        prefix=network.block.prefixlen,
        gateway=network.gateway,
        accelerator=vmm.accelerator(config),
        cmdline=vmm.kernel_arguments(base_dir(formfile)),
        volumes=tuple(
            (f"volume{n}", vmm.volume_file(config, owner, formfile.name, path))
            for n, path in enumerate(formfile.volumes)
        ),
        gpus=tuple(gpu_addresses(body)),
        env=reveal(owner, formfile.name),
        shadow=tuple(
            f"{user.username}:{'!' if user.lock_passwd else ''}{user.passwd_hash}"
            for user in formfile.users
            if user.passwd_hash
        ),
        expire=tuple(
            user.username
            for user in formfile.users
            if user.passwd_hash and user.chpasswd_expire
        ),
    )


def base_dir(formfile: pack.Formfile) -> Path:
    return settings().base_dir / formfile.base.replace(":", "-")


def gpu_addresses(body: dict[str, Any]) -> list[str]:
    """Of an instance's GPUs and of what goes along with them."""
    gpus = body.get("gpus", ())
    return [address for gpu in gpus for address in (gpu["address"], *gpu["along"])]
