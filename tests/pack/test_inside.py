"""The inner side of a build's walls, where the kernel is not at its easiest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

IN_A_CHROOT = """
import ctypes, os
from appliance.pack.inside import leave_chroot

libc = ctypes.CDLL(None)
NEWUSER = 0x10000000

def refused():
    child = os.fork()
    if not child:
        os._exit(1 if libc.unshare(NEWUSER) else 0)
    return os.waitpid(child, 0)[1] != 0

assert refused(), "a chroot whose root may make user namespaces shows nothing"
here = os.stat("/")
leave_chroot()
assert os.stat("/") == here and os.path.exists("/etc/os-release")
assert not refused()
"""
ELSEWHERE = """
import os
from appliance.pack.inside import leave_chroot
here = os.stat("/"), os.getcwd()
leave_chroot()
assert (os.stat("/"), os.getcwd()) == here
"""


def test_in_a_chroot_user_namespaces_can_be_had() -> None:
    enter = 'mount --rbind / /mnt && cd / && exec chroot /mnt "$0" -c "$1"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", enter]
    subprocess.run([*command, sys.executable, IN_A_CHROOT], check=True)


def test_elsewhere_nothing_changes() -> None:
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=Path("/"), check=True)
