"""An instance's life: its files, its domain, and back to nothing.

Every function may be called again after a crash and then finishes the work.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from appliance import state
from appliance.config import settings
from appliance.layout import WEB
from appliance.plain import harmless
from appliance.problems import DiskFull, Problem
from appliance.vmm import gate
from appliance.vmm.domain import InstanceSpec, domain_xml
from appliance.vmm.seed import write_seed

SHUTDOWN_S = 10.0
CONSOLE_BYTES = 8 << 20
CONSOLE_PART = 256 << 10
AGENT = "agent: "


def folder(instance: str) -> Path:
    return settings().instances_dir / instance


def create(spec: InstanceSpec) -> None:
    """Overlay, seed, volumes and domain; the disk that is there is kept."""
    from appliance.vmm import libvirt

    write_disks(spec)
    libvirt.define(domain_xml(spec))


def write_disks(spec: InstanceSpec) -> None:
    """Overlay, volumes and seed; raises DiskFull."""
    spec.folder.mkdir(parents=True, exist_ok=True)
    spec.folder.chmod(0o711)
    share_console(spec.folder / "console.log")
    disk = spec.folder / "disk.qcow2"
    if not disk.exists():
        draft = spec.folder / "disk.new"
        _qemu_img("create", "-q", "-f", "qcow2", "-b", str(spec.image), "-F", "qcow2")(
            str(draft), f"{spec.disk_gib}G"
        )
        draft.chmod(0o600)
        draft.rename(disk)
    for _, path in spec.volumes:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(spec.disk_gib << 30)
    write_seed(spec, spec.folder / "seed.tar")


def _qemu_img(*arguments: str) -> Callable[..., None]:
    def call(*more: str) -> None:
        done = subprocess.run(
            ["qemu-img", *arguments, *more], capture_output=True, text=True, check=False
        )
        if "No space left" in done.stderr:
            raise DiskFull("The disk is full: an instance's disk cannot be written.")
        if done.returncode:
            raise Problem("disk-failed", f"qemu-img: {done.stderr.strip()[:300]}")

    return call


def boot(instance: str) -> None:
    """Start its machine; raises EngineGone while none may start."""
    from appliance.vmm import libvirt

    with gate.passed():
        libvirt.start(instance)


def shutdown(instance: str, timeout: float = SHUTDOWN_S) -> None:
    """Ask the guest to end, wait, then cut the power."""
    from appliance.vmm import libvirt

    libvirt.ask_shutdown(instance)
    pause = threading.Event()
    waited = 0.0
    while libvirt.state(instance) == "running" and waited < timeout:
        pause.wait(0.1)
        waited += 0.1
    libvirt.destroy(instance)


def delete(instance: str) -> None:
    """Release domain, disk and seed; volumes stay."""
    from appliance.vmm import libvirt

    libvirt.undefine(instance)
    shutil.rmtree(folder(instance), ignore_errors=True)


def forget(instance: str) -> None:
    """Remove the record of an instance whose VM is gone, and what only it needed:
    the names that lead to it and, unless others belong to it, its deployment. It
    goes last, so that after a crash the rest is still found."""
    for domain in state.select("domain", instance=instance):
        state.remove("domain", domain.id)
    record = state.find("instance", instance)
    if record is None:
        return
    deployment = record.body.get("deployment", "")
    if [r.id for r in state.select("instance", deployment=deployment)] == [instance]:
        state.remove("deployment", deployment)
    state.remove("instance", instance)


def kernel_arguments(base: Path) -> str:
    """The kernel's command line, as the guest base's manifest has it."""
    return str(json.loads((base / "manifest.json").read_text())["cmdline"])


def share_console(log: Path) -> None:
    """Pages show the console: its log is for the user of formation-web too."""
    log.touch(mode=0o640)
    with contextlib.suppress(KeyError):  # no such user where no node was installed
        group = grp.getgrnam(WEB).gr_gid
        if log.stat().st_gid != group:
            os.chown(log, -1, group)
            log.chmod(0o640)


def tend_console(instance: str) -> None:
    """Bound the console's log, and keep it readable where its file is a new one.

    QEMU appends, so a copy may be cut under it.
    """
    log = folder(instance) / "console.log"
    if not log.parent.exists():
        return
    share_console(log)
    try:
        if log.stat().st_size > CONSOLE_BYTES:
            shutil.copyfile(log, log.with_suffix(".old"))
            os.truncate(log, 0)
    except FileNotFoundError:
        return


def domain_state(instance: str) -> str:
    from appliance.vmm import libvirt

    return libvirt.state(instance)


def about() -> dict[str, str | int]:
    """What libvirt says of itself."""
    from appliance.vmm import libvirt

    return libvirt.about()


def states() -> dict[str, str]:
    """Every instance that libvirt knows, with `running` or `off`."""
    from appliance.vmm import libvirt

    return libvirt.states()


def console_tail(instance: str, lines: int = 200) -> list[str]:
    """The last lines of the console, made harmless; the agent's output is there too."""
    text, _ = console_after(instance, None)
    return text.splitlines()[-lines:]


def console_after(instance: str, offset: int | None) -> tuple[str, int]:
    """What was printed after an offset in bytes, and the offset of its end.

    At most CONSOLE_PART bytes, whole lines; None begins that far before the end. An
    offset behind the end means that the log was cut: it begins anew.
    """
    try:
        with (folder(instance) / "console.log").open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            if offset is None or offset > end or end - offset > CONSOLE_PART:
                offset = max(0, end - CONSOLE_PART)
            file.seek(offset)
            raw = file.read(CONSOLE_PART)
    except FileNotFoundError:
        return "", 0
    whole = raw[: raw.rfind(b"\n") + 1] or (raw if len(raw) == CONSOLE_PART else b"")
    text = whole.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    shown = (line for line in harmless(text).split("\n") if line.strip())
    return "".join(f"{line}\n" for line in shown), offset + len(whole)


def agent_lines(text: str) -> str:
    """Of a console's text what the agent printed, without the prefix."""
    return "".join(
        f"{line.removeprefix(AGENT)}\n"
        for line in text.splitlines()
        if line.startswith(AGENT)
    )
