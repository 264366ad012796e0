"""libvirtd in the foreground, for machines without systemd.

Runs it under a child subreaper: orphaned QEMU probes are reaped at once, which
makes libvirtd start in 2 s instead of 12. QEMU runs as root there because a
container's /dev/kvm often belongs to nobody else; with systemd nothing of this
is used and Debian's qemu.conf stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

CONF = Path("/etc/libvirt/qemu.conf")
MARK = "# formation: no systemd here"
LINES = 'user = "root"\ngroup = "root"\nstdio_handler = "file"\ndynamic_ownership = 0\n'
LINES += "namespaces = []\n"  # in a chroot a /dev of its own stays empty
PID_FILE = Path("/run/libvirtd.pid")
_SUBREAPER, _DEATH_SIGNAL = 36, 1


def end_orphan() -> None:
    """End a libvirtd whose parent was killed, and wait until it has let go."""
    try:
        process = psutil.Process(int(PID_FILE.read_text()))
        if process.name() == "libvirtd":
            process.terminate()
            process.wait(20)
    except (OSError, ValueError, psutil.NoSuchProcess):
        return


def main() -> None:
    text = CONF.read_text() if CONF.exists() else ""
    if not text.endswith(LINES):
        CONF.write_text(f"{text.partition(MARK)[0].rstrip()}\n\n{MARK}\n{LINES}")
    end_orphan()
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1)
    child = subprocess.Popen(
        ["/usr/sbin/libvirtd"],
        preexec_fn=lambda: libc.prctl(_DEATH_SIGNAL, signal.SIGTERM),  # noqa: PLW1509
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: child.terminate())
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
