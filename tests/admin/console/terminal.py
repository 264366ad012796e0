"""A program on a terminal of its own, and what a person would see of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte

WAIT_S = 60.0


class Screen:
    """What is on the other end of a terminal, read by pyte as an emulator would."""

    def __init__(self, fd: int, columns: int = 80, lines: int = 24) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._fd = fd
        self.resize(columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)
        self._screen.resize(lines, columns)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def read(self, seconds: float = 0.1) -> bool:
        """Take what comes; False once the program is gone."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return True
        try:
            self._stream.feed(os.read(self._fd, 65536))
        except OSError:
            return False
        return True

    def sees(self, *wanted: str) -> None:
        """Wait until all that is on the screen."""
        end = time.monotonic() + WAIT_S
        while not all(text in self.text for text in wanted):
            assert time.monotonic() < end, f"{wanted} not on:\n{self.text}"
            assert self.read(), f"it ended; its screen:\n{self.text}"

    def misses(self, gone: str) -> None:
        """Wait until that is not on the screen any more."""
        end = time.monotonic() + WAIT_S
        while gone in self.text:
            assert time.monotonic() < end, f"{gone} still on:\n{self.text}"
            assert self.read(), f"it ended; its screen:\n{self.text}"

    def insist(self, key: str, *wanted: str) -> None:
        """Press a key until all that is seen, as people do: readline(3) may miss a
        signal that comes while it sets itself up."""
        end = time.monotonic() + WAIT_S
        while not all(text in self.text for text in wanted):
            assert time.monotonic() < end, f"{wanted} not on:\n{self.text}"
            self.press(key)
            self.read(1.0)


class Terminal(Screen):
    """A program on a terminal of its own."""

    def __init__(self, argv: list[str], columns: int = 80, lines: int = 24) -> None:
        self.pid, fd = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.environ |= {"TERM": "vt220", "LANG": "C.UTF-8"}
            os.execv(argv[0], argv)
        super().__init__(fd, columns, lines)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextmanager
def started(*words: str, columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    """`form` with these words."""
    argv = [sys.executable, "-c", "from appliance.cli import main; main()", *words]
    found = Terminal(argv, columns, lines)
    try:
        yield found
    finally:
        found.close()
