"""The walls around a build: a user namespace in which uid 0 is nobody's.

`run` starts this module as a child. The child enters new user, mount, PID, IPC
and UTS namespaces, the parent maps its ids to a range of the host that owns
nothing else, and the child mounts the layers and runs the stages. When the
first process of its PID namespace dies, all that it started dies with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.problems import Problem, Unavailable

_NEWNS, _NEWUTS, _NEWIPC = 0x20000, 0x4000000, 0x8000000
_NEWUSER, _NEWPID = 0x10000000, 0x20000000
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
IDS = 65536
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
CHECK_S = 0.5
CHILD = "from appliance.pack.sandbox import main; main()"


class BuildError(Problem):
    """A build that cannot succeed; the sentence names the step and the cure."""

    def __init__(self, detail: str) -> None:
        super().__init__("build-failed", detail, status=422, title="Build failed")


@dataclass(frozen=True)
class BuildLimits:
    seconds: float = 1800
    memory_mib: int = 2048
    processes: int = 512
    disk_mib: int = 8192


@dataclass(frozen=True)
class Stage:
    """One command; inside the tree (`chroot`) or beside it with host programs."""

    argv: tuple[str, ...]
    chroot: bool = True
    stdin: str = "/dev/null"


@dataclass(frozen=True)
class Tree:
    """An overlay: `lowers` from the top down; all paths on the host."""

    lowers: tuple[str, ...]
    upper: str
    work: str
    merged: str


def run(
    tree: Tree | None,
    stages: tuple[Stage, ...],
    *,
    start_id: int,
    limits: BuildLimits,
    log: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Run the stages one after the other; raises BuildError when one fails."""
    ready_r, ready_w = os.pipe()
    mapped_r, mapped_w = os.pipe()
    spec = {
        "tree": asdict(tree) if tree else None,
        "stages": [asdict(stage) for stage in stages],
        "limits": asdict(limits),
        "ready": ready_w,
        "mapped": mapped_r,
    }
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(spec)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(ready_w, mapped_r),
        start_new_session=True,
        text=True,
        errors="replace",
    )
    os.close(ready_w)
    os.close(mapped_r)
    if not os.read(ready_r, 1):
        os.close(ready_r)
        os.close(mapped_w)
        raise _no_namespaces(child.communicate()[0])
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child.pid}/{name}").write_text(f"0 {start_id} {IDS}\n")
    os.write(mapped_w, b"1")
    os.close(ready_r)
    os.close(mapped_w)
    upper = Path(tree.upper) if tree else None
    _watch(child, upper, limits, log, cancelled)


def _no_namespaces(said: str) -> Unavailable:
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return Unavailable(
        "no-namespaces",
        f"A build's namespaces cannot be made ({last[0][-200:]}). This machine may "
        "forbid user namespaces (sysctl user.max_user_namespaces), or this is a "
        "chroot or a container without the right to make them.",
    )


def _watch(
    child: subprocess.Popen[str],
    upper: Path | None,
    limits: BuildLimits,
    log: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Log its lines, and end it when a limit is passed."""
    verdict: list[str] = []
    ended = threading.Event()

    def guard() -> None:
        waited = 0.0
        while not ended.wait(CHECK_S):
            waited += CHECK_S
            if waited > limits.seconds:
                verdict.append(f"ran longer than {limits.seconds:.0f} s and was ended")
            elif cancelled():
                verdict.append("was canceled")
            elif upper is not None and _mib(upper) > limits.disk_mib:
                verdict.append(f"wrote more than {limits.disk_mib} MiB and was ended")
            if verdict:
                os.killpg(child.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=guard, daemon=True)
    watcher.start()
    tail: list[str] = []
    for line in child.stdout or ():
        tail = [*tail[-9:], line.rstrip()]
        log(line.rstrip()[:500])
    status = child.wait()
    ended.set()
    watcher.join()
    if verdict:
        raise BuildError(verdict[0])
    if status:
        raise BuildError(f"ended with status {status}: {' / '.join(tail[-3:])[-600:]}")


def _mib(folder: Path) -> int:
    done = subprocess.run(
        ["du", "-s", "-m", str(folder)], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[0]) if done.stdout else 0


def _mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(
        source.encode(), target.encode(), kind.encode(), flags, data.encode()
    ):
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind} {target}: {os.strerror(error)}")


def _enter(ready: int, mapped: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWIPC | _NEWUTS):
        raise OSError(ctypes.get_errno(), "unshare failed")
    os.write(ready, b"1")
    os.read(mapped, 1)
    os.setresgid(0, 0, 0)
    os.setgroups([])
    os.setresuid(0, 0, 0)


def _prepare(tree: dict[str, object]) -> None:
    lowers = tree["lowers"]
    assert isinstance(lowers, list)
    merged = str(tree["merged"])
    data = f"lowerdir={':'.join(lowers)},upperdir={tree['upper']},"
    _mount("none", "/", "none", _PRIVATE | _REC)
    _mount("overlay", merged, "overlay", 0, f"{data}workdir={tree['work']},userxattr")


def _mount_inside(merged: str) -> None:
    _mount("proc", f"{merged}/proc", "proc")
    _mount("tmpfs", f"{merged}/dev", "tmpfs", 0, "mode=755")
    for name in DEVICES:
        Path(f"{merged}/dev/{name}").touch()
        _mount(f"/dev/{name}", f"{merged}/dev/{name}", "none", _BIND)
    for name, target in (("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1")):
        Path(f"{merged}/dev/{name}").symlink_to(target)
    _mount("tmpfs", f"{merged}/run", "tmpfs", 0, "mode=755")
    _mount("tmpfs", f"{merged}/tmp", "tmpfs", 0, "mode=1777,size=2g")


def _limit(limits: dict[str, float]) -> None:
    memory = int(limits["memory_mib"]) << 20
    processes = int(limits["processes"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _stage(stage: dict[str, object], merged: str | None, limits: object) -> int:
    argv = stage["argv"]
    assert isinstance(argv, list) and isinstance(limits, dict)

    def before() -> None:
        if stage["chroot"] and merged:
            os.chroot(merged)
            os.chdir("/")
            _limit(limits)

    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    with Path(str(stage["stdin"])).open("rb") as stdin:
        done = subprocess.run(
            argv, stdin=stdin, env=environment, preexec_fn=before, check=False
        )
    return done.returncode


def main() -> None:
    spec = json.loads(sys.argv[1])
    _enter(spec["ready"], spec["mapped"])
    os.close(spec["ready"])
    os.close(spec["mapped"])
    pid = os.fork()
    if pid:  # the first process of the PID namespace is the child
        _, status = os.waitpid(pid, 0)
        sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    merged = None
    if spec["tree"]:
        merged = spec["tree"]["merged"]
        _prepare(spec["tree"])
        if any(stage["chroot"] for stage in spec["stages"]):
            _mount_inside(merged)
    for stage in spec["stages"]:
        status = _stage(stage, merged, spec["limits"])
        if status:
            sys.stdout.flush()
            os._exit(min(abs(status), 255))
    os._exit(0)


if __name__ == "__main__":
    main()
