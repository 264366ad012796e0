"""The main job as an operation: plan, build, register, place, boot, healthy, named.

Each step can be run again: what it made is named in the operation's memory
before the next one begins, and a failed or canceled deployment releases its
instance while the one that ran before goes on.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance import (
    clock,
    dns,
    events,
    formnet,
    identity,
    pack,
    state,
    vmm,
)
from appliance.config import settings
from appliance.market import orders, owners, turns, versions
from appliance.market.names import next_version
from appliance.operations import Kind, Run, Step
from appliance.problems import Conflict, NotFound, Problem

PROBE_S = 0.15
ENDED, ENDS = "agent: exited with status", 4
_placing = threading.Lock()  # room, address and GPUs are looked for and taken in one go


def plan(run: Run) -> None:
    """Unpack the upload, check the Formfile, give the build its id."""
    if "version" in run.params:
        _plan_registered(run)
        return
    context = settings().data_dir / "contexts" / run.id
    shutil.rmtree(context, ignore_errors=True)
    upload = run.params.get("upload")
    if upload:
        pack.unpack_isolated(Path(upload), context)
    folder = context if upload else None
    checked = pack.check(run.params["formfile"], folder)
    for item in checked.diagnostics:
        run.log(f"line {item.line}, column {item.column}: {item.message} {item.hint}")
    if checked.formfile is None:
        raise orders.invalid(checked)
    formfile = checked.formfile
    agent = f"{run.params['owner_name']}/{formfile.name}"
    _await_turn(run, agent)
    versions.must_be_unused(agent, formfile.version)
    _must_have_secrets(run.params["owner_name"], formfile)
    _choose_gpus(agent, formfile)
    run.memory |= {
        "instance": run.id,
        "formfile": pack.as_document(formfile, whole=True),
        "context": str(folder) if folder else None,
        "build_id": pack.build_id(formfile, formfile.base, folder),
        "agent": agent,
    }


def _plan_registered(run: Run) -> None:
    """A version that is registered already, by the image that was built for it."""
    _await_turn(run, run.params["version"].partition("@")[0])
    record = state.find("version", run.params["version"])
    if record is None:
        raise NotFound(
            "version-unknown", f"There is no version {run.params['version']}."
        )
    body = record.body
    if not (settings().images_dir / f"{body['image']}.qcow2").exists():
        raise Conflict(
            "image-gone",
            f"The image of {record.id} was removed to make room; deploy its folder "
            "again.",
        )
    formfile = pack.from_document({**body["formfile"], "steps": []})
    _must_have_secrets(run.params["owner_name"], formfile)
    _choose_gpus(body["agent"], formfile)
    if any(user.passwd_hash is None for user in formfile.users):
        run.log("Passwords of its USERs are not kept with a version; they have none.")
    run.memory |= {
        "instance": run.id,
        "formfile": pack.as_document(formfile, whole=True),
        "context": None,
        "build_id": body["build_id"],
        "image": body["image"],
        "version": body["version"],
        "agent": body["agent"],
    }


def _await_turn(run: Run, agent: str) -> None:
    """Deployments and deletions of one agent go one after the other."""
    run.remember(agent=agent)
    turns.wait(run, agent)


def _must_have_secrets(owner: str, formfile: pack.Formfile) -> None:
    from appliance.market.secrets import names

    missing = sorted(set(formfile.secrets) - set(names(owner, formfile.name)))
    if missing:
        raise Problem(
            "secret-missing",
            f"{formfile.name} needs {', '.join(missing)}: set it with "
            f"form secret set {formfile.name} {missing[0]}",
            status=422,
        )


def _choose_gpus(agent: str, formfile: pack.Formfile) -> list[dict[str, Any]]:
    """Asked before a build that would be in vain; taken when the instance is placed."""
    wishes = [(gpu.model, gpu.count) for gpu in formfile.gpus]
    return vmm.choose_gpus(wishes, agent)


def _formfile(run: Run) -> pack.Formfile:
    return pack.from_document(run.memory["formfile"])


def build(run: Run) -> None:
    if "version" in run.params:
        run.log("The version's image is there.")
        return
    context = run.memory["context"]
    request = pack.request(
        settings(),
        _formfile(run),
        Path(context) if context else None,
        refresh=bool(run.params.get("refresh")),
    )
    try:
        made = pack.build(request, run.log, run.should_end, run.progress)
    except Problem:
        run.check()  # a canceled build fails too; say what it was
        raise
    run.memory |= {"image": made.digest, "image_bytes": made.size_bytes}


def base_dir(formfile: pack.Formfile) -> Path:
    return settings().base_dir / formfile.base.replace(":", "-")


def register(run: Run) -> None:
    """Agent, version, build and deployment, each pointing at the others."""
    memory, formfile = run.memory, _formfile(run)
    agent, owner = memory["agent"], run.params["owner_name"]
    links = {"build_id": memory["build_id"], "image": memory["image"]}
    version = formfile.version
    if "version" in run.params:
        version = memory["version"]
    version = version or next_version(versions.known(agent), **links)
    memory["version"] = version
    if "before" not in memory:
        known_agent = state.find("agent", agent)
        run.remember(
            before=known_agent.body if known_agent else None,
            new_version=state.find("version", f"{agent}@{version}") is None,
        )
    manifest = {**links, "formfile": pack.as_document(formfile)}
    owner_id = owners.account_of(owner) or run.account
    versions.register(owner_id, owner, formfile.name, version, manifest, run.id)
    deployment = {
        "account": run.account,
        "agent": agent,
        "version": version,
        "created": clock.rfc3339(clock.now()),
        "operation": run.id,
        "copies": 1,
        "domains": [asdict(domain) for domain in formfile.domains],
    }
    state.put("deployment", run.id, deployment)


def unregister(run: Run) -> None:
    """Undo: the catalogue is as it was before."""
    memory = run.memory
    if "before" not in memory:
        return
    state.remove("deployment", run.id)
    if memory["before"] is None:
        state.remove("agent", memory["agent"])
    else:
        state.put("agent", memory["agent"], memory["before"])
    if memory["new_version"]:
        state.remove("version", f"{memory['agent']}@{memory['version']}")
    if not state.select("version", build_id=memory["build_id"]):
        state.remove("build", memory["build_id"])


def place(run: Run) -> None:
    """Find room, an address and GPUs, and write the Instance before its VM exists."""
    formfile = _formfile(run)
    network = formnet.ensure_network(settings())
    with _placing:
        record = state.find("instance", run.id)
        if record is None:
            _must_have_room(run.params["owner_name"], formfile)
            taken = {r.body["address"] for r in state.select("instance")}
            address = formnet.free_address(network.block, taken)
            body = _instance_body(run, formfile, address)
            body["gpus"] = _choose_gpus(run.memory["agent"], formfile)
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
        gpus=tuple(_gpu_addresses(body)),
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


def _gpu_addresses(body: dict[str, Any]) -> list[str]:
    """Of an instance's GPUs and of what goes along with them."""
    gpus = body.get("gpus", ())
    return [address for gpu in gpus for address in (gpu["address"], *gpu["along"])]


def boot(run: Run) -> None:
    instance = run.memory["instance"]
    state.change("instance", instance, state="booting")
    _stop_holders(run)
    vmm.boot(instance)


def _stop_holders(run: Run) -> None:
    """A volume or GPU is one instance's at a time."""
    volumes = run.memory["formfile"]["volumes"]
    gpus = set(_gpu_addresses(_body(run.memory["instance"])))
    holders = [
        record
        for record in _others(run)
        if record.body["desired"] == "running"
        if volumes or gpus.intersection(_gpu_addresses(record.body))
    ]
    if "held" not in run.memory:
        run.remember(held=[record.id for record in holders])
    for record in holders:
        state.change("instance", record.id, desired="stopped", state="stopped")
        vmm.shutdown(record.id)


def start_holders(run: Run) -> None:
    """Undo: those that gave volumes or GPUs up run again, once the new one, which
    has them, does not."""
    held = run.memory.get("held", [])
    if held:
        vmm.shutdown(run.memory["instance"])
    for instance in held:
        if state.find("instance", instance):
            state.change("instance", instance, desired="running")


def healthy(run: Run) -> None:
    """Wait for the health check; a silent or dying guest fails with its log. One that
    the end of the node had stopped is started again."""
    instance, limit = run.memory["instance"], settings().vmm.boot_timeout_s
    vmm.boot(instance)
    body = _body(instance)
    pause, began, why, shown = threading.Event(), clock.now(), "", 0
    while clock.now() - began < limit:
        run.check()
        ok, why = vmm.probe_health(body["address"], body["port"], body["health_path"])
        _body(instance)
        lines = vmm.console_tail(instance, 500)
        for line in lines[shown:]:
            run.log(line)
        shown = len(lines)
        if ok:
            state.change("instance", instance, state="healthy", reason="")
            return
        if vmm.domain_state(instance) != "running":
            raise Problem("guest-ended", f"The VM ended: {_last(lines)}", status=502)
        if sum(ENDED in line for line in lines) >= ENDS:
            raise Problem(
                "entrypoint-ends",
                f"The entrypoint keeps ending: {_last(lines)}",
                status=502,
            )
        run.progress((clock.now() - began) / limit, why)
        pause.wait(PROBE_S)
    raise Problem(
        "never-healthy",
        f"Not healthy after {limit} s ({why}). Its last lines: {_last(lines)}",
        status=504,
    )


def _last(lines: list[str]) -> str:
    return " / ".join(lines[-5:]) or "nothing was printed"


def _body(instance: str) -> dict[str, Any]:
    record = state.find("instance", instance)
    if record is None:
        raise Problem("instance-deleted", "The instance was deleted meanwhile.")
    return record.body


def named(run: Run) -> None:
    """Names lead to the new instance; what ran before is released."""
    zone, memory = dns.apex(settings()), run.memory
    owner, name = run.params["owner_name"], _body(memory["instance"])["name"]
    names = []
    for fqdn in (f"{name}.{zone}", f"{name}.{owner}.{zone}"):
        holder = state.find("domain", fqdn)
        if holder and holder.body["agent"] != memory["agent"]:
            run.log(f"{fqdn} is {holder.body['agent']}'s and stays so")
            continue
        names.append(fqdn)
        body = {
            "name": fqdn,
            "agent": memory["agent"],
            "instance": memory["instance"],
            "kind": "internal",
        }
        state.put("domain", fqdn, body)
    _retire_others(run)
    shutil.rmtree(settings().data_dir / "contexts" / run.id, ignore_errors=True)
    if run.params.get("upload"):
        Path(run.params["upload"]).unlink(missing_ok=True)
    address = _body(memory["instance"])["address"]
    memory["result"] = {
        "agent": memory["agent"],
        "version": memory["version"],
        "instance": memory["instance"],
        "address": address,
        "names": names,
    }
    memory["formfile"] = {}  # no password's hash outlives its deployment here
    events.happened(
        f"{memory['agent']} {memory['version']} was deployed",
        service="marketplace",
        subject=memory["agent"],
    )


def _retire_others(run: Run) -> None:
    for record in _others(run):
        _retire(run, record.id)


def _retire(run: Run, instance: str) -> None:
    """Release an instance now, or leave it to vmm-service where that fails."""
    state.change("instance", instance, desired="deleted")
    try:
        vmm.shutdown(instance)
        vmm.delete(instance)
        vmm.forget(instance)
    except Problem as problem:
        run.log(f"{instance} is released later: {problem}")


def unname(run: Run) -> None:
    """Undo: names lead back to what ran before."""
    others = _others(run)
    for domain in state.select("domain", instance=run.id):
        if others:
            state.put("domain", domain.id, {**domain.body, "instance": others[0].id})
        else:
            state.remove("domain", domain.id)


def _others(run: Run) -> list[state.Record]:
    return [
        record
        for record in state.select("instance", agent=run.memory["agent"])
        if record.id != run.memory["instance"]
    ]


def release(run: Run) -> None:
    """Undo: the new instance goes, whatever ran before stays."""
    if state.find("instance", run.id):
        _retire(run, run.id)
    shutil.rmtree(settings().data_dir / "contexts" / run.id, ignore_errors=True)
    if run.params.get("upload"):
        Path(run.params["upload"]).unlink(missing_ok=True)
    if "formfile" in run.memory:
        run.memory["formfile"] = {}  # as in `named`


DEPLOY = Kind(
    "deploy",
    (
        Step("plan", "Plan", plan, release),
        Step("build", "Build", build),
        Step("register", "Register", register, unregister),
        Step("place", "Place", place),
        Step("boot", "Boot", boot, start_holders),
        Step("healthy", "Healthy", healthy),
        Step("named", "Named", named, unname),
    ),
    owner=lambda subject, params: params["owner_name"],
    private=("formfile",),  # with hashes of guests' passwords
)
