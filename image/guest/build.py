"""Builds the guest base: a Debian tree as a tar, a kernel and a tiny initrd.

`python -m image.guest.build --suite trixie --out DIR` makes `rootfs.tar`,
`vmlinuz`, `initrd.img` and `manifest.json` in DIR, all or nothing; docs/guest.md
says what is in them. Needs root and mmdebstrap.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path

from image.guest import initramfs

HERE = Path(__file__).parent
NAMES = {"trixie": "debian:13", "bookworm": "debian:12"}
PACKAGES = [
    *("busybox-static", "ca-certificates", "e2fsprogs", "iproute2", "login"),
    *("mount", "netbase", "passwd", "qemu-guest-agent"),
]
KERNEL = "linux-image-cloud-amd64"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TRIMMED = ("doc/*", "info/*", "locale/*", "man/*", "lintian/*")
SCRIPTS = ("agent-exec", "agent-log", "agent-service", "power", "setup-systemd")
POWER = ("shutdown", "poweroff", "reboot", "halt")
PARTS = ("rootfs.tar", "vmlinuz", "initrd.img", "manifest.json")
# i8042 and extra serial ports are probed slowly, and no guest has them.
CMDLINE = "console=ttyS0 quiet loglevel=4 panic=5 no_timer_check 8250.nr_uarts=1"
CMDLINE += " random.trust_cpu=on cryptomgr.notests i8042.noaux i8042.nokbd"

Log = Callable[[str], None]
_children: list[subprocess.Popen[str]] = []


class BuildError(Exception):
    """The base could not be built; the text says why and what to do."""


def sources(targets: str, suite: str) -> list[str]:
    """Lines of sources.list(5) for `suite`, from the machine's own mirrors.

    `targets` is what `apt-get indextargets` prints for SITE and RELEASE.
    """
    main = security = ""
    for line in targets.splitlines():
        site, _, release = line.partition(" ")
        site = site.rstrip("/")
        if release.endswith("-security") and not security:
            security = site
        elif site.endswith("/debian") and "-" not in release and not main:
            main = site
    if not main:
        cure = "add Debian's to /etc/apt/sources.list.d and run apt-get update"
        raise BuildError(f"apt knows no Debian mirror: {cure}")
    signed = f"deb [signed-by={KEYRING}]"
    lines = [f"{signed} {main} {name} main" for name in (suite, f"{suite}-updates")]
    if security:
        lines.append(f"{signed} {security} {suite}-security main")
    return lines


def machine_sources(suite: str) -> list[str]:
    command = ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"]
    listed = run([*command, "Created-By: Packages"])
    return sources(listed, suite)


def recipe_digest(suite: str) -> str:
    """Changes whenever anything that the base is made from does."""
    total = sha256(suite.encode())
    for file in sorted(path for path in HERE.rglob("*") if path.is_file()):
        if "__pycache__" not in file.parts:
            total.update(file.relative_to(HERE).as_posix().encode())
            total.update(file.read_bytes())
    return total.hexdigest()


def is_current(suite: str, out: Path) -> bool:
    """Whether `out` holds a whole base made by this very recipe."""
    try:
        manifest = json.loads((out / "manifest.json").read_text())
    except (OSError, ValueError):
        return False
    whole = all((out / part).is_file() for part in PARTS)
    return whole and bool(manifest.get("recipe") == recipe_digest(suite))


def build_base(suite: str, out: Path, log: Log) -> None:
    """Make the base in `out` unless it is there; under a minute and a half.

    Raises BuildError with the reason. `out` is replaced in one step at the end.
    """
    if suite not in NAMES:
        raise BuildError(f"no guest base {suite}: there are {', '.join(NAMES)}")
    out = out.absolute()
    with locked(out, log):
        if is_current(suite, out):
            log(f"{NAMES[suite]} is ready in {out}")
            return
        for left in out.parent.glob(f".{out.name}-*"):  # a build that was killed
            shutil.rmtree(left)
        prefix = f".{out.name}-"
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=prefix) as name:
            made = make(suite, Path(name), log)
            replace(made, out)
    log(f"{NAMES[suite]} is ready in {out}")


@contextmanager
def locked(out: Path, log: Log) -> Iterator[None]:
    """One builder of `out` at a time; the second finds the first one's work."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f".{out.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("another process builds this base: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace(made: Path, out: Path) -> None:
    old = made.with_name("old")
    if out.exists():
        out.rename(old)
    made.rename(out)


def make(suite: str, work: Path, log: Log) -> Path:
    """The base's four files, in a folder under `work`."""
    mirrors = machine_sources(suite)
    log(f"{NAMES[suite]}: fetching Debian {suite} and the guest kernel")
    with ThreadPoolExecutor(2) as pool:
        boot = pool.submit(fetch_kernel, suite, work / "kernel", mirrors)
        tree = pool.submit(fetch_tree, suite, work / "tree", mirrors)
        boot.result()
        tree.result()
    made = work / "made"
    made.mkdir(mode=0o755)
    log("adding the guest's init")
    add_guest_files(work / "tree")
    log("packing the tree, the kernel and the initrd")
    pack_tree(work / "tree", made / "rootfs.tar")
    version = pack_kernel(work / "kernel", made)
    manifest = describe(suite, version, work / "tree", made / "rootfs.tar")
    text = json.dumps(manifest, indent=1, sort_keys=True)
    (made / "manifest.json").write_text(text + "\n")
    return made


def fetch_kernel(suite: str, target: Path, mirrors: list[str]) -> None:
    """Kernel and busybox, unpacked only: nothing of this tree is ever run."""
    wanted = f"--include={KERNEL},busybox-static"
    mmdebstrap("--variant=extract", wanted, suite, str(target), *mirrors)


def fetch_tree(suite: str, target: Path, mirrors: list[str]) -> None:
    trims = [f"--dpkgopt=path-exclude=/usr/share/{what}" for what in TRIMMED]
    trims.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
    wanted = f"--include={','.join(PACKAGES)}"
    mmdebstrap("--variant=minbase", wanted, *trims, suite, str(target), *mirrors)


def mmdebstrap(*arguments: str) -> None:
    run(["mmdebstrap", "--mode=root", "--format=dir", *arguments])


def add_guest_files(tree: Path) -> None:
    own = tree / "usr/lib/formation"
    own.mkdir(parents=True)
    install(HERE / "formation-init", own / "init", 0o755)
    install(HERE / "seed.sh", own / "seed.sh", 0o644)
    install(tree / "usr/bin/busybox", own / "busybox", 0o755)
    for name in SCRIPTS:
        install(HERE / name, own / name, 0o755)
    (own / "systemd").mkdir()
    for file in sorted((HERE / "systemd").iterdir()):
        install(file, own / "systemd" / file.name, 0o644)
    (own / "acpi/PWRF").mkdir(parents=True)
    install(HERE / "power-button", own / "acpi/PWRF/00000080", 0o755)
    (tree / "usr/sbin/formation-init").symlink_to("../lib/formation/init")
    for name in POWER:
        (tree / "usr/sbin" / name).symlink_to("../lib/formation/power")
    settle(tree)


def install(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)


def settle(tree: Path) -> None:
    """What belongs to an instance and not to its image is left empty."""
    (tree / "etc/formation").mkdir()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hostname").write_text("agent\n")
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    (tree / "etc/resolv.conf").write_text("")


def pack_tree(tree: Path, target: Path) -> None:
    # Device nodes cannot be made in a user namespace, and the kernel makes them.
    options = ["--numeric-owner", "--sort=name", "--exclude=./dev/*", "--xattrs"]
    run(["tar", *options, "-C", str(tree), "-cf", str(target), "."])


def pack_kernel(tree: Path, made: Path) -> str:
    """Writes vmlinuz and initrd.img; returns the kernel's version."""
    image = next((tree / "boot").glob("vmlinuz-*"))
    install(image, made / "vmlinuz", 0o644)
    files = initramfs.module_files(tree / "usr/lib/modules")
    files = files or initramfs.module_files(tree / "lib/modules")
    modules = initramfs.load_order(files, initramfs.WANTED)
    busybox = next(path for path in busybox_places(tree) if path.is_file())
    init = (HERE / "initrd-init").read_bytes()
    initrd = initramfs.archive(busybox.read_bytes(), init, modules)
    (made / "initrd.img").write_bytes(initrd)
    return image.name.removeprefix("vmlinuz-")


def busybox_places(tree: Path) -> tuple[Path, ...]:
    return tree / "usr/bin/busybox", tree / "bin/busybox"


def describe(suite: str, version: str, tree: Path, rootfs: Path) -> dict[str, object]:
    query = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W"]
    listed = run([*query, "-f", "${Package} ${Version}\n"]).splitlines()
    with rootfs.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return {
        "name": NAMES[suite],
        "suite": suite,
        "digest": digest,
        "kernel": version,
        "cmdline": CMDLINE,
        "built": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe_digest(suite),
        "packages": dict(line.split(" ", 1) for line in listed),
    }


def run(command: list[str]) -> str:
    """The command's standard output; BuildError with its last words if it fails."""
    clean = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=clean
        )
    except FileNotFoundError as error:
        cure = f"apt-get install {command[0]}"
        raise BuildError(f"{command[0]} is not installed: {cure}") from error
    _children.append(child)
    output, errors = child.communicate()
    _children.remove(child)
    if child.returncode:
        last = "\n".join(errors.splitlines()[-12:])
        raise BuildError(f"{command[0]} ended with {child.returncode}:\n{last}")
    return output


def interrupt(number: int, frame: object) -> None:
    """End the commands that run; the folders go as the stack unwinds."""
    for child in list(_children):
        child.terminate()
    raise SystemExit("interrupted: nothing is kept of this build")


def run_to_end(build: Callable[[], None]) -> None:
    """A builder as a program: a signal ends it and leaves nothing half-made, and what
    is wrong is its last word."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        build()
    except BuildError as error:
        raise SystemExit(str(error)) from error


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the base that agents run on.")
    parser.add_argument("--suite", default="trixie", choices=sorted(NAMES))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    run_to_end(lambda: build_base(asked.suite, asked.out, say))


if __name__ == "__main__":
    main()
