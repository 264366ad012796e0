"""mkosi(1) of Debian 13, in a tree of its own that is made once and kept in the cache.

mkosi wants to be at the root of its mount namespace, so the tree becomes that. Debian
12's own mkosi cannot make this image; no loop device is needed, and no FAT mounted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from image.guest.build import BuildError, Log, machine_sources, mmdebstrap

SUITE = "trixie"
PACKAGES = (
    *("apt", "ca-certificates", "cpio", "debian-archive-keyring", "dosfstools"),
    *("e2fsprogs", "erofs-utils", "grub-common", "grub-pc-bin", "kmod", "mkosi"),
    *("mtools", "python3-pefile", "qemu-utils", "reprepro", "systemd"),
    *("systemd-boot-efi", "systemd-boot-tools", "systemd-repart", "systemd-ukify"),
    *("util-linux", "zstd"),
)
LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
SHOWN = "/build"  # where the cache's folder is in the tree
ENTER = """
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p ".$3" old
mount --bind "$2" ".$3"
shift 3
pivot_root . old
umount -l old
exec "$@"
"""


def tree_in(cache: Path, log: Log) -> Path:
    """The tree, made where it is missing or was meant for something else."""
    tree, recipe = cache / "tools", " ".join(PACKAGES)
    stamp = tree / "formation-tools"
    if not stamp.is_file() or stamp.read_text() != recipe:
        log("making a tree of Debian 13 with the tools")
        shutil.rmtree(tree, ignore_errors=True)
        wanted = f"--include={','.join(PACKAGES)}"
        mmdebstrap("--variant=apt", wanted, SUITE, str(tree), *machine_sources(SUITE))
        stamp.write_text(recipe)
    return tree


def sources() -> str:
    """The machine's own mirrors with Debian's firmware, as sources.list(5) has it."""
    lines = machine_sources(SUITE)
    return "\n".join(f"{line} non-free-firmware" for line in lines) + "\n"


def run(cache: Path, tree: Path, *command: str) -> None:
    """Run it in the tree, where `SHOWN` is the cache; raises BuildError with its last
    words."""
    for name in LENT:
        if Path(name).exists():
            shutil.copyfile(name, f"{tree}{name}")
    log = cache / "build.log"
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with log.open("a") as said:
        done = subprocess.run(
            [*own, "sh", "-euc", ENTER, "sh", str(tree), str(cache), SHOWN, *command],
            env=environment(),
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise BuildError(f"{command[0]} ended with {done.returncode} ({log}):\n{last}")


def environment() -> dict[str, str]:
    wanted = {*PROXIES, *(name.upper() for name in PROXIES)}
    kept = {name: value for name, value in os.environ.items() if name in wanted}
    return {**kept, "PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
