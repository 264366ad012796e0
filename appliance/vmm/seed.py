"""The seed disk: what a guest learns at boot, as a plain tar of mode 0600."""

from __future__ import annotations

import os
import tarfile
from io import BytesIO
from pathlib import Path
from shlex import quote

from appliance.vmm.domain import InstanceSpec


def seed_files(spec: InstanceSpec) -> dict[str, bytes]:
    """Names and contents; see docs/guest.md."""
    network = (
        f"ADDRESS={spec.address}/{spec.prefix}\n"
        f"GATEWAY={spec.gateway}\nDNS={spec.gateway}\n"
    )
    env = "".join(f"{key}={quote(value)}\n" for key, value in spec.env.items())
    volumes = "".join(
        f"{serial} {_mountpoint(path)}\n" for serial, path in _pairs(spec)
    )
    return {
        "hostname": f"{spec.hostname}\n".encode(),
        "network": network.encode(),
        "env": env.encode(),
        "shadow": "".join(f"{line}\n" for line in spec.shadow).encode(),
        "expire": "".join(f"{name}\n" for name in spec.expire).encode(),
        "volumes": volumes.encode(),
        "entropy": os.urandom(64),
    }


def _pairs(spec: InstanceSpec) -> list[tuple[str, str]]:
    return [(serial, path.stem) for serial, path in spec.volumes]


def _mountpoint(stem: str) -> str:
    """Volume files are named by their mount point, `/` written as `=`."""
    return "/" + stem.replace("=", "/")


def write_seed(spec: InstanceSpec, path: Path) -> None:
    """Write the tar, readable to its owner alone."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in seed_files(spec).items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, BytesIO(content))
