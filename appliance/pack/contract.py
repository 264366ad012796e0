"""What an image holds for the guest's init: entrypoint, environment, settings."""

from __future__ import annotations

import tarfile
from io import BytesIO
from pathlib import Path
from shlex import join, quote

from appliance.pack.formfile import EnvVar, Formfile


def image_files(formfile: Formfile, build_id: str, archive: Path) -> None:
    """Write the files as a tar that is unpacked at the image's root."""
    conf = f"WORKDIR={quote(formfile.workdir)}\nRUNAS={quote(formfile.runas)}\n"
    files = {
        "etc/formation/entrypoint": f"#!/bin/sh\nexec {join(formfile.entrypoint)}\n",
        "etc/formation/agent.conf": conf,
        "etc/formation/environment": assignments(agent_env(formfile)),
        "etc/environment": pam_environment(scoped(formfile, "system")),
        "etc/vm_name": formfile.name + "\n",
        "etc/build_id": build_id + "\n",
    }
    if formfile.users:
        files["etc/ssh/sshd_config.d/10-formation.conf"] = sshd_config(formfile)
    with tarfile.open(archive, "w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            info.mode = 0o755 if name.endswith("entrypoint") else 0o644
            tar.addfile(info, BytesIO(text.encode()))
    archive.chmod(0o644)


def scoped(formfile: Formfile, *scopes: str) -> list[EnvVar]:
    """Variables of these scopes; of one that is set twice, the last."""
    found = {var.key: var for var in formfile.env if var.scope in scopes}
    return list(found.values())


def agent_env(formfile: Formfile) -> list[EnvVar]:
    """What reaches the entrypoint; the narrower scope wins."""
    found: dict[str, EnvVar] = {}
    for scope in ("system", f"user:{formfile.runas}", "service:agent"):
        found |= {var.key: var for var in scoped(formfile, scope)}
    return list(found.values())


def assignments(variables: list[EnvVar]) -> str:
    return "".join(f"{var.key}={quote(var.value)}\n" for var in variables)


def pam_environment(variables: list[EnvVar]) -> str:
    """As pam_env(8) reads it: the outer quotation marks go, nothing else."""
    return "".join(f'{var.key}="{var.value}"\n' for var in variables)


def systemd_environment(variables: list[EnvVar]) -> str:
    """The value of Environment= and DefaultEnvironment= (systemd.exec(5))."""
    kept = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%"})
    return " ".join(f'"{var.key}={var.value.translate(kept)}"' for var in variables)


def sshd_config(formfile: Formfile) -> str:
    """Passwords over SSH for those users alone who asked for it."""
    lines = ["# from the Formfile's USER lines", "PasswordAuthentication no"]
    if any(user.disable_root for user in formfile.users):
        lines.append("PermitRootLogin no")
    elif any(u.username == "root" and u.ssh_pwauth for u in formfile.users):
        lines.append("PermitRootLogin yes")
    if names := [user.username for user in formfile.users if user.ssh_pwauth]:
        lines += [f"Match User {','.join(names)}", "    PasswordAuthentication yes"]
    return "\n".join(lines) + "\n"
