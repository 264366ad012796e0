"""The menu: what can be chosen, and what a key does to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.admin.console.facts import Facts
from appliance.admin.console.screen import Line

UP, DOWN, CHOOSE, LEAVE = "up", "down", "choose", "leave"


@dataclass(frozen=True)
class Entry:
    """`dialog` is the name of what asks for the rest."""

    dialog: str
    title: str
    text: str


ENTRIES = (
    Entry("network", "Network", "given by the network, or set here"),
    Entry("password", "Password", "a new password for an operator who lost it"),
    Entry("problems", "Problems", "what the log has of warnings and errors"),
    Entry("support", "Support bundle", "to a USB stick; without secrets"),
    Entry("reboot", "Restart", "the machine, with all that runs on it"),
    Entry("poweroff", "Power off", "the machine"),
    Entry("reset", "Factory reset", "erase all data and begin anew"),
)
SHELL = Entry("shell", "Shell", "as root, for an operator")


@dataclass(frozen=True)
class Menu:
    """Where the bar is; `chosen` is the dialog that begins now, and `is_over` says that
    the first screen comes back."""

    entries: tuple[Entry, ...]
    at: int = 0
    chosen: str = ""
    is_over: bool = False


def menu(facts: Facts) -> Menu:
    return Menu((*ENTRIES, SHELL) if facts.has_shell else ENTRIES)


def pressed(menu: Menu, key: str) -> Menu:
    """The menu after a key: UP, DOWN, CHOOSE, LEAVE or a character."""
    menu = replace(menu, chosen="", is_over=False)
    count = len(menu.entries)
    if key in (UP, DOWN):
        step = 1 if key == DOWN else -1
        return replace(menu, at=(menu.at + step) % count)
    if key == CHOOSE:
        return replace(menu, chosen=menu.entries[menu.at].dialog)
    if key in (LEAVE, "0", "q"):
        return replace(menu, is_over=True)
    if key.isascii() and key.isdigit() and int(key) <= count:
        number = int(key) - 1
        return replace(menu, at=number, chosen=menu.entries[number].dialog)
    return menu


def lines(menu: Menu, width: int) -> list[Line]:
    """The menu as text; the entry under the bar looks chosen."""
    found = [Line("What shall be done?", "strong"), Line("")]
    for number, entry in enumerate(menu.entries):
        text = f" {number + 1}  {entry.title:16} {entry.text}"
        look = "chosen" if number == menu.at else "plain"
        found.append(Line(f"{text:{width}}"[:width], look))
    found += [Line(""), Line(" 0  Back to the first screen")]
    return found
