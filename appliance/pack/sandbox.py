"""The walls around a build: a user namespace in which uid 0 is nobody's.

`run` starts `inside` as a child in new user, mount, PID, IPC, UTS, cgroup and
network namespaces, maps its ids to a range of the host that owns nothing else,
gives it limits and, where asked, a network, and watches it until it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from itertools import count
from pathlib import Path
from typing import IO

from appliance.pack import cgroup, network, seccomp
from appliance.pack.limits import BuildError, BuildLimits
from appliance.pack.reach import Reach, certificates
from appliance.problems import Unavailable

IDS = 65536
CHECK_S = 0.25
CHILD = "from appliance.pack.inside import main; main()"
INODES = 2_000_000
LONGEST_LINE = 16384
_numbers = count()


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


@dataclass(frozen=True)
class Outside:
    """What the stages may reach: of `block` each build has a part, `closed` are
    ranges that are refused beside all private ones; `forwarding` is the folder that
    says who needs the machine's."""

    reach: Reach
    block: IPv4Network
    forwarding: Path
    closed: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True)
class Watch:
    """Where the lines go, and who says that it shall end; `end` is monotonic.

    `disk` lies on the disk that is written to."""

    log: Callable[[str], None]
    cancelled: Callable[[], bool] = lambda: False
    end: float = float("inf")
    disk: Path | None = None


def run(
    tree: Tree | None,
    stages: tuple[Stage, ...],
    *,
    start_id: int,
    limits: BuildLimits,
    watch: Watch,
    outside: Outside | None = None,
) -> None:
    """Run the stages one after the other; raises BuildError when one fails."""
    seccomp.must_be_there()
    ready_r, ready_w = os.pipe()
    told_r, told_w = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ready_w), str(told_r)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(ready_w, told_r),
        start_new_session=True,
    )
    os.close(ready_w)
    os.close(told_r)
    with _pipes(ready_r, told_w) as (ready, told), ExitStack() as stack:
        stack.callback(_bury, child)
        if not ready.read(1):
            raise _no_namespaces(child.communicate()[0].decode(errors="replace"))
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child.pid}/{name}").write_text(f"0 {start_id} {IDS}\n")
        group = cgroup.make(str(next(_numbers)), child.pid, limits)
        stack.callback(group.remove)
        stack.callback(_bury, child)  # before its limits go
        pair = None
        if outside is not None:
            pair = stack.enter_context(
                network.attached(
                    child.pid,
                    outside.reach,
                    outside.block,
                    outside.closed,
                    outside.forwarding,
                )
            )
        spec = {
            "parent": os.getpid(),
            "tree": asdict(tree) if tree else None,
            "stages": [asdict(stage) for stage in stages],
            "limits": asdict(limits),
            "controls": sorted(group.controls),
            "environment": outside.reach.environment if outside else (),
            "shown": _shown(outside, pair, tree),
        }
        told.write(json.dumps(spec).encode())
        told.close()
        upper = Path(tree.upper) if tree else None
        _follow(child, group, upper, limits, watch)


@contextmanager
def _pipes(ready: int, told: int) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    with os.fdopen(ready, "rb") as first, os.fdopen(told, "wb") as second:
        yield first, second


def _shown(
    outside: Outside | None, pair: network.Pair | None, tree: Tree | None
) -> dict[str, str]:
    """Files of the machine that commands with a network see in their tree."""
    if outside is None or pair is None or tree is None:
        return {}
    folder, owner = Path(tree.merged).parent, Path(tree.merged).stat().st_uid
    texts = {
        "resolv.conf": outside.reach.resolv_conf(pair.gateway),
        "hosts": Path("/etc/hosts").read_text(),
    }
    found = {}
    for name, text in texts.items():
        (folder / name).write_text(text)
        os.chown(folder / name, owner, owner)
        found[f"/etc/{name}"] = str(folder / name)
    trusted = certificates()
    if trusted is not None:
        found["/run/machine-certificates.crt"] = str(trusted)
    return found


def _no_namespaces(said: str) -> Unavailable:
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return Unavailable(
        "no-namespaces",
        f"A build's namespaces cannot be made ({last[0][-200:]}). This machine may "
        "forbid user namespaces (sysctl user.max_user_namespaces), or this is a "
        "chroot or a container without the right to make them.",
    )


def _bury(child: subprocess.Popen[bytes]) -> None:
    """End the child if it lives; its namespaces are empty when this returns."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout:
        child.stdout.close()


def _follow(
    child: subprocess.Popen[bytes],
    group: cgroup.Group,
    upper: Path | None,
    limits: BuildLimits,
    watch: Watch,
) -> None:
    """Log its lines, and end it when a limit is passed."""
    verdict: list[str] = []
    ended = threading.Event()

    def guard() -> None:
        while not ended.wait(CHECK_S):
            why = _passed(upper, limits, watch)
            if why:
                verdict.append(why)
                child.send_signal(signal.SIGTERM)
                return

    watcher = threading.Thread(target=guard, daemon=True)
    watcher.start()
    tail: deque[str] = deque(maxlen=10)
    try:
        for line in _lines(child):
            tail.append(line)
            watch.log(line[:500])
        status = child.wait()
    finally:
        ended.set()
        watcher.join()
    why = verdict[0] if verdict else group.verdict(limits, failed=status != 0)
    if why:
        raise BuildError(why)
    if status:
        said = " / ".join(list(tail)[-3:])[-600:]
        raise BuildError(f"ended with status {status}: {said}")


def _lines(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """Its output line by line; an endless line comes in pieces."""
    while child.stdout and (piece := child.stdout.readline(LONGEST_LINE)):
        yield piece.decode(errors="replace").rstrip()


def _passed(upper: Path | None, limits: BuildLimits, watch: Watch) -> str:
    if time.monotonic() > watch.end:
        return f"was ended: a build may take {limits.seconds:.0f} s"
    if watch.cancelled():
        return "was canceled"
    if watch.disk and is_short(watch.disk, limits):
        return f"was ended: the disk has less than {limits.keep_free_mib} MiB free"
    if upper is None:
        return ""
    if _du(upper, "-m") > limits.disk_mib:
        return f"wrote more than {limits.disk_mib} MiB and was ended"
    if _du(upper, "--inodes") > INODES:
        return f"made more than {INODES} files and was ended"
    return ""


def is_short(disk: Path, limits: BuildLimits) -> bool:
    """Whether the disk has less free than builds must leave."""
    return free_mib(disk) < limits.keep_free_mib


def free_mib(disk: Path) -> int:
    return shutil.disk_usage(disk).free >> 20


def _du(folder: Path, unit: str) -> int:
    done = subprocess.run(
        ["du", "-s", unit, str(folder)], capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[0]) if done.stdout else 0
