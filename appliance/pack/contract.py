"""What an image holds for the guest's init: entrypoint, environment, users."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path
from shlex import join, quote

from appliance.pack.formfile import EnvVar, Formfile, GuestUser


def image_files(formfile: Formfile, build_id: str, archive: Path) -> None:
    """Write the files as a tar that is unpacked at the image's root."""
    system = [var for var in formfile.env if var.scope == "system"]
    agent = [var for var in formfile.env if var.scope in ("system", "service:agent")]
    conf = f"WORKDIR={quote(formfile.workdir)}\nRUNAS={quote(formfile.runas)}\n"
    entrypoint = f"#!/bin/sh\nexec {join(formfile.entrypoint)}\n"
    files = {
        "etc/formation/entrypoint": (entrypoint, 0o755),
        "etc/formation/agent.conf": (conf, 0o644),
        "etc/formation/environment": (assignments(agent), 0o644),
        "etc/environment": (assignments(system), 0o644),
        "etc/vm_name": (formfile.name + "\n", 0o644),
        "etc/build_id": (build_id + "\n", 0o644),
    }
    with tarfile.open(archive, "w") as tar:
        for name, (text, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), mode
            tar.addfile(info, BytesIO(text.encode()))
    archive.chmod(0o644)


def assignments(variables: list[EnvVar]) -> str:
    return "".join(f"{var.key}={quote(var.value)}\n" for var in variables)


def setup_script(formfile: Formfile) -> str:
    """Shell commands that make users and folders, run inside the image."""
    lines = [f"mkdir -p {quote(path)}" for path in formfile.volumes]
    lines += [f"mkdir -p {quote(formfile.workdir)}", "rm -f /etc/resolv.conf"]
    for user in formfile.users:
        lines += _user(user, formfile)
    lines.append(
        f"id {formfile.runas} >/dev/null 2>&1 || useradd -r -M {formfile.runas}"
    )
    lines.append("[ ! -x /lib/systemd/systemd ] || /usr/lib/formation/setup-systemd")
    if any(user.disable_root for user in formfile.users):
        lines.append("passwd -q -l root; usermod -s /usr/sbin/nologin root")
    return "\n".join(lines)


def _user(user: GuestUser, formfile: Formfile) -> list[str]:
    name, home = user.username, f"/home/{user.username}"
    lines = [f"id {name} >/dev/null 2>&1 || useradd -m -s {quote(user.shell)} {name}"]
    for group in user.groups:
        lines.append(f"getent group {quote(group)} >/dev/null || groupadd {group!r}")
        lines.append(f"usermod -a -G {quote(group)} {name}")
    if user.sudo:
        lines.append(
            f"echo '{name} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{name}; "
            f"chmod 440 /etc/sudoers.d/{name}"
        )
    if user.ssh_authorized_keys:
        keys = quote("\n".join(user.ssh_authorized_keys))
        lines.append(
            f"mkdir -p {home}/.ssh; echo {keys} > {home}/.ssh/authorized_keys; "
            f"chown -R {name} {home}/.ssh; chmod -R go= {home}/.ssh"
        )
    own = [var for var in formfile.env if var.scope == f"user:{name}"]
    for var in own:
        line = quote(f"export {var.key}={quote(var.value)}")
        lines.append(f"echo {line} >> {home}/.profile")
    if user.lock_passwd:
        lines.append(f"passwd -q -l {name}")
    return lines
