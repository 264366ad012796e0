"""The system calls that a build's commands may not make, through libseccomp.

A filter is built before the command's root is entered and loaded just before it
is executed. Debian's apt depends on libseccomp, so every node has it.
"""

from __future__ import annotations

import ctypes

from appliance.problems import Unavailable

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_NO_NEW_PRIVS_ATTRIBUTE, _MASKED_EQUAL, _EQUAL = 3, 7, 4
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*, but for time, which clone cannot make
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
REFUSED_FAMILIES = (15, 17, 38, 40)  # key, packet, alg, vsock
REFUSED = (
    *("mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount"),
    *("fspick", "move_mount", "open_tree", "mount_setattr", "unshare", "setns"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module"),
    *("delete_module", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key"),
    *("request_key", "swapon", "swapoff", "reboot", "syslog", "acct", "quotactl"),
    *("quotactl_fd", "iopl", "ioperm", "open_by_handle_at", "lookup_dcookie"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "vhangup"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "nfsservctl"),
)


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


class Filter:
    """`load` it in the process that it shall bind, and in all that come of it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ALLOW))
        # set-uid programs go on working: the ids are not the host's anyway
        self._must(
            self._library.seccomp_attr_set(self._context, _NO_NEW_PRIVS_ATTRIBUTE, 0)
        )
        for name in REFUSED:
            self._refuse(name, EPERM)
        self._refuse("clone3", ENOSYS)  # its flags cannot be read; libc falls back
        for bit in range(32):
            flag = 1 << bit
            if NEW_NAMESPACES & flag:
                self._refuse("clone", EPERM, _Compare(0, _MASKED_EQUAL, flag, flag))
        for request in (TIOCSTI, TIOCLINUX):
            mask = _Compare(1, _MASKED_EQUAL, 0xFFFFFFFF, request)
            self._refuse("ioctl", EPERM, mask)
        for family in REFUSED_FAMILIES:
            self._refuse("socket", EPERM, _Compare(0, _EQUAL, family, 0))

    def _refuse(self, name: str, action: int, *when: _Compare) -> None:
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:  # unknown to this libseccomp, so to its kernel's time
            return
        conditions = (_Compare * len(when))(*when)
        self._must(
            self._library.seccomp_rule_add_array(
                self._context, action, number, len(when), conditions
            )
        )

    def load(self) -> None:
        self._must(self._library.seccomp_load(self._context))

    @staticmethod
    def _must(status: int) -> None:
        if status:
            raise OSError(-status, "the seccomp filter was refused")


def must_be_there() -> None:
    """Raise Unavailable where the library is missing."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        raise Unavailable(
            "no-seccomp", "libseccomp.so.2 is missing: apt install libseccomp2"
        ) from None
