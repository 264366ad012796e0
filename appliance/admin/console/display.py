"""The console on a terminal, by curses: the first screen, the menu, and the dialogs
that it starts as children in the ordinary mode of the terminal."""

from __future__ import annotations

import curses
import locale
import os
import signal
import subprocess
import sys
from contextlib import suppress

from appliance.admin.console import facts, menu, screen
from appliance.admin.console.facts import Facts
from appliance.admin.console.screen import Line

LOOK_MS = 2000
KEYS = {
    curses.KEY_UP: menu.UP,
    curses.KEY_DOWN: menu.DOWN,
    curses.KEY_ENTER: menu.CHOOSE,
    10: menu.CHOOSE,
    13: menu.CHOOSE,
    27: menu.LEAVE,
}
HINT = "Enter: menu"
MENU_HINT = "Arrows and Enter, or a number. Esc: back"


class Console:
    """The state of the screen: what is known, and the menu where it is open."""

    def __init__(self, window: curses.window) -> None:
        self._window = window
        self._facts = Facts(trouble="Looking at the node …")
        self._seen: tuple[int, ...] = ()
        self._menu: menu.Menu | None = None
        self._is_utf8 = "UTF" in locale.getpreferredencoding().upper()

    def run(self) -> None:
        """Until the terminal goes away."""
        self._draw()
        while True:
            self._facts, self._seen = facts.look(self._facts, self._seen)
            self._draw()
            key = self._window.getch()
            if key == curses.KEY_RESIZE:
                curses.update_lines_cols()
                self._window.clear()  # what is on the screen is not known any more
            elif key != -1:
                self._press(KEYS.get(key) or (chr(key) if 32 < key < 127 else ""))

    def _press(self, key: str) -> None:
        if self._menu is None:
            if key in (menu.CHOOSE, "m"):
                self._menu = menu.menu(self._facts)
            return
        self._menu = menu.pressed(self._menu, key)
        if self._menu.is_over:
            self._menu = None
        elif self._menu.chosen:
            self._ask(self._menu.chosen)

    def _ask(self, dialog: str) -> None:
        """Give the terminal to a child, and take it back."""
        curses.def_prog_mode()
        self._window.clear()
        self._window.refresh()
        curses.endwin()
        command = [sys.executable, "-m", "appliance.admin.console.dialogs", dialog]
        # input() asks on the standard error, which of the unit is the journal
        subprocess.run(command, stderr=subprocess.STDOUT, check=False)
        curses.reset_prog_mode()
        self._window.clear()
        self._seen = ()
        self._facts = Facts(trouble="Looking at the node …")

    def _draw(self) -> None:
        height, width = self._window.getmaxyx()
        lines, hint = self._lines(width - 1, height - 2)
        self._window.erase()
        for number, line in enumerate(lines):
            self._put(number, line)
        self._put(height - 1, Line(hint[: width - 1], "quiet"))
        self._window.refresh()

    def _lines(self, width: int, height: int) -> tuple[list[Line], str]:
        if self._menu is None:
            found = screen.home(self._facts, width, height, self._is_utf8)
            return found, HINT
        top = screen.heading(self._facts, width)
        return [*top, *menu.lines(self._menu, width)][:height], MENU_HINT

    def _put(self, number: int, line: Line) -> None:
        look = {
            "strong": curses.A_BOLD,
            "bad": curses.A_BOLD,
            "chosen": curses.A_REVERSE,
        }
        text = line.text if self._is_utf8 else plain(line.text)
        with suppress(curses.error):  # the terminal became smaller meanwhile
            self._window.addstr(number, 0, text, look.get(line.look, 0))


def plain(text: str) -> str:
    """For a terminal that has letters alone."""
    known = text.replace("─", "-").replace("…", "...")
    return known.encode("ascii", "replace").decode()


def show(window: curses.window) -> None:
    curses.raw()  # Ctrl-C and Ctrl-Z are keys like others: there is no way out
    with suppress(curses.error):  # not every terminal can hide it
        curses.curs_set(0)
    window.timeout(LOOK_MS)
    Console(window).run()


def main() -> None:
    """Show the console on this terminal."""
    locale.setlocale(locale.LC_ALL, "")
    os.environ.setdefault("ESCDELAY", "200")
    signal.signal(
        signal.SIGINT, lambda *of: None
    )  # meant for a dialog, which has its own
    curses.wrapper(show)
