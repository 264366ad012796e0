"""Writes the guest's initial RAM disk: a cpio archive in the newc format.

Format: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
Uncompressed, because unpacking costs an emulated processor more than loading.
"""

from __future__ import annotations

import lzma
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

# Disk, network, entropy, ballooning and the power button; in the order of loading.
WANTED = [
    *("virtio_pci", "virtio_blk", "ext4", "virtio_net", "virtio_rng"),
    *("virtio_console", "virtio_balloon", "button", "evdev"),
]
FOLDERS = ("bin", "dev", "proc", "sys", "root", "modules")


def module_files(tree: Path) -> dict[str, Path]:
    """Kernel modules under `tree` by the name that other modules know them by."""
    files = tree.rglob("*.ko*")
    return {file.name.split(".")[0].replace("-", "_"): file for file in files}


def module_bytes(file: Path) -> bytes:
    raw = file.read_bytes()
    return lzma.decompress(raw) if file.suffix == ".xz" else raw


def dependencies(module: bytes) -> list[str]:
    """The names in the module's `depends=` line (see modinfo(8))."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found[1].decode().split(",") if found else []
    return [name.replace("-", "_") for name in names if name]


def load_order(files: dict[str, Path], wanted: Iterable[str]) -> dict[str, bytes]:
    """Modules to load, each after what it needs; what is built in has no file."""
    order: dict[str, bytes] = {}

    def visit(name: str) -> None:
        if name in order or name not in files:
            return
        content = module_bytes(files[name])
        for needed in dependencies(content):
            visit(needed)
        order[name] = content

    for name in wanted:
        visit(name)
    return order


def entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One archive member, owned by root, without a time."""
    links = 2 if stat.S_ISDIR(mode) else 1
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + path) + padded(content)


def padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % 4)


def members(
    busybox: bytes, init: bytes, modules: dict[str, bytes]
) -> Iterator[tuple[str, int, bytes]]:
    for folder in FOLDERS:
        yield folder, stat.S_IFDIR | 0o755, b""
    yield "init", stat.S_IFREG | 0o755, init
    yield "bin/busybox", stat.S_IFREG | 0o755, busybox
    for name, content in modules.items():
        yield f"modules/{name}.ko", stat.S_IFREG | 0o644, content
    order = "".join(f"{name}.ko\n" for name in modules)
    yield "modules/order", stat.S_IFREG | 0o644, order.encode()


def archive(busybox: bytes, init: bytes, modules: dict[str, bytes]) -> bytes:
    """The whole initial RAM disk."""
    every = enumerate(members(busybox, init, modules), start=1)
    body = b"".join(entry(number, *member) for number, member in every)
    return body + entry(0, "TRAILER!!!", 0, b"")
