"""The inner side of a build's walls: started by `sandbox`, as its child.

It enters its namespaces, waits until its ids, network and limits are set, mounts
the layers and runs the stages. The first process of its PID namespace dies with
it, and takes along all that the stages started.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from appliance.pack.seccomp import Filter

_NEWNS, _NEWUTS, _NEWIPC, _NEWCGROUP = 0x20000, 0x4000000, 0x8000000, 0x2000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_READ_ONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_PIVOT_ROOT, _DETACH = 155, 2  # x86-64
_PDEATHSIG, _CAPBSET_DROP, LAST_CAPABILITY = 1, 24, 40
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# chown to fsetid, kill to setpcap, net_bind_service, sys_chroot, mknod,
# audit_write, setfcap: what packages' scripts need, and nothing of the machine
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 27, 29, 31})
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
TRUST = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")
TRUSTED = "/run/machine-certificates.crt"
MOUNTS = "FORMATION_BUILD_MOUNTS"  # set by the unit of formation-jobs


def leave_chroot() -> None:
    """In a chroot the kernel gives no user namespaces (user_namespaces(7)): make its
    folder the root of a mount namespace of our own. Elsewhere nothing changes."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWNS):
        return
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        before = os.fstat(root)
        libc.setns(own, _NEWNS)  # to the namespace's root, whatever ours was
        after = Path("/").stat()
        os.fchdir(root)
        if (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino):
            return
        mount("none", "/", "none", _PRIVATE | _REC)
        if libc.syscall(_PIVOT_ROOT, b".", b"."):
            os.chroot(".")
            return
        libc.umount2(b".", _DETACH)
        os.chdir("/")
    finally:
        os.close(root)
        os.close(own)


def join(place: Path) -> None:
    """See files as the process does whose folder in /proc this is: a unit may have a
    view of its own, with covered parts of /proc, and then the kernel lets nobody mount
    another in a user namespace (mount_namespaces(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    root = os.open(place / "root", os.O_PATH | os.O_DIRECTORY)
    view = os.open(place / "ns/mnt", os.O_RDONLY)
    if libc.setns(view, _NEWNS):
        raise OSError(ctypes.get_errno(), "setns failed")
    os.fchdir(root)
    os.chroot(".")
    os.close(root)
    os.close(view)


def enter(ready: int, told: int) -> dict[str, Any]:
    """Into new namespaces; returns what the parent tells when all is set."""
    libc = ctypes.CDLL(None, use_errno=True)
    if place := os.environ.get(MOUNTS):
        join(Path(place))
    kinds = _NEWUSER | _NEWNS | _NEWPID | _NEWIPC | _NEWUTS | _NEWNET | _NEWCGROUP
    if libc.unshare(kinds):
        leave_chroot()
        if libc.unshare(kinds):
            raise OSError(ctypes.get_errno(), "unshare failed")
    os.write(ready, b"1")
    os.close(ready)
    with os.fdopen(told) as pipe:
        text = pipe.read()
    if not text:
        sys.exit("the builder ended before the build began")
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)
    spec: dict[str, Any] = json.loads(text)
    return spec


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(
        source.encode(), target.encode(), kind.encode(), flags, data.encode()
    ):
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind} {target}: {os.strerror(error)}")


def mount_layers(tree: dict[str, Any]) -> None:
    mount("none", "/", "none", _PRIVATE | _REC)
    data = f"lowerdir={':'.join(tree['lowers'])},upperdir={tree['upper']},"
    data += f"workdir={tree['work']},userxattr"
    mount("overlay", tree["merged"], "overlay", 0, data)


def mount_inside(merged: str, shown: dict[str, str]) -> None:
    """What a command expects, and the machine's files that it is shown."""
    mount("proc", f"{merged}/proc", "proc")
    mount("tmpfs", f"{merged}/dev", "tmpfs", 0, "mode=755,size=1m")
    for name in DEVICES:
        Path(f"{merged}/dev/{name}").touch()
        mount(f"/dev/{name}", f"{merged}/dev/{name}", "none", _BIND)
    for name, target in (("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1")):
        Path(f"{merged}/dev/{name}").symlink_to(target)
    mount("tmpfs", f"{merged}/run", "tmpfs", 0, "mode=755,size=256m")
    mount("tmpfs", f"{merged}/tmp", "tmpfs", 0, "mode=1777,size=2g")
    for target, source in shown.items():
        place = Path(f"{merged}{target}")
        if target.startswith("/run/"):
            place.touch()
        if place.is_file() and not place.is_symlink():
            mount(source, str(place), "none", _BIND)


def limit(limits: dict[str, float], controls: list[str]) -> None:
    """What control groups do not bound already is bound for each process."""
    memory, disk = int(limits["memory_mib"]) << 20, int(limits["disk_mib"]) << 20
    processes = int(limits["processes"])
    if "memory" not in controls:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if "pids" not in controls:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))


def run_stage(
    stage: dict[str, Any], merged: str, spec: dict[str, Any], barred: Filter
) -> int:
    libc = ctypes.CDLL(None)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not stage["chroot"]:
            return
        limit(spec["limits"], spec["controls"])
        os.chroot(merged)
        os.chdir("/")
        for capability in set(range(LAST_CAPABILITY + 1)) - CAPABILITIES:
            libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
        barred.load()

    environment = {**ENVIRONMENT, **dict(spec["environment"])}
    if TRUSTED in spec["shown"]:
        environment |= dict.fromkeys(TRUST, TRUSTED)
    with Path(stage["stdin"]).open("rb") as stdin:
        done = subprocess.run(
            stage["argv"], stdin=stdin, env=environment, preexec_fn=before, check=False
        )
    return done.returncode


def run_stages(spec: dict[str, Any]) -> int:
    """As the first process of the PID namespace; the status of what failed."""
    tree, merged = spec["tree"], ""
    if tree:
        merged = tree["merged"]
        mount_layers(tree)
        if any(stage["chroot"] for stage in spec["stages"]):
            mount_inside(merged, spec["shown"])
    barred = Filter()
    for stage in spec["stages"]:
        status = run_stage(stage, merged, spec, barred)
        if status:
            return min(abs(status), 255)
    return 0


def main() -> None:
    spec = enter(int(sys.argv[1]), int(sys.argv[2]))
    first = os.fork()
    libc = ctypes.CDLL(None)
    if not first:
        libc.prctl(_PDEATHSIG, signal.SIGKILL)
        status = run_stages(spec)
        sys.stdout.flush()
        os._exit(status)

    def end(number: int, frame: object) -> None:
        os.kill(first, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    libc.prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        end(0, None)
    _, status = os.waitpid(first, 0)  # returns when the whole namespace is empty
    sys.exit(min(abs(os.waitstatus_to_exitcode(status)), 255))


if __name__ == "__main__":
    main()
