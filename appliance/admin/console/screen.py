"""What the screen says, of facts. Pure: lines of text, no terminal.

Made for 80 columns and 24 lines; what does not fit is left out from the bottom, the
picture first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from appliance.admin.console.facts import Facts, Service

GAP, LEAST = 2, 48
MARKS = {"running": "ok", "failed": "!!", "degraded": "!!"}
BLOCKS = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""Two modules above each other: what is dark in the code stays dark on the screen."""


@dataclass(frozen=True)
class Line:
    """`look` is plain, strong, quiet or bad."""

    text: str
    look: str = "plain"


def home(facts: Facts, width: int, height: int, with_code: bool = True) -> list[Line]:
    """The first screen: at most `height` lines, each at most `width` wide."""
    code = picture(facts.urls[0]) if with_code and shows_code(facts) else []
    beside = width - len(code[0]) - GAP if code else width
    if code and (beside < LEAST or height < len(code) + 5):
        code, beside = [], width
    lines = [*heading(facts, width), *beside_each_other(facts, code, beside)]
    return [Line(line.text[:width], line.look) for line in lines[:height]]


def shows_code(facts: Facts) -> bool:
    return bool(facts.urls) and not facts.trouble and not facts.is_set_up


def heading(facts: Facts, width: int) -> list[Line]:
    name = facts.name or facts.host
    return [
        Line(f"Formation{name.rjust(width - 9)}", "strong"),
        Line("─" * width, "quiet"),
    ]


def beside_each_other(facts: Facts, code: list[str], width: int) -> Iterator[Line]:
    for line, part in zip_longest(body(facts, width), code, fillvalue=None):
        text, look = (line.text, line.look) if line else ("", "plain")
        yield Line(f"{text:{width + GAP}}{part}" if part else text, look)


def body(facts: Facts, width: int) -> Iterator[Line]:
    """What stands beside the code, or alone."""
    if facts.trouble:
        yield from wrapped(facts.trouble, width, "bad")
        yield Line("")
    yield from where(facts, width)
    if facts.fingerprint:
        yield Line("")
        yield Line("Its certificate's fingerprint, SHA-256:", "quiet")
        yield from fingerprint_lines(facts.fingerprint)
    if facts.said:
        yield Line("")
        yield from wrapped(facts.said, width, "bad")
    if facts.claim:
        yield Line("")
        yield Line("Claim code, which the page asks for:", "quiet")
        yield Line(f"  {facts.claim}", "strong")
    elif facts.is_set_up:
        yield Line("")
        yield from states(facts.services, width)


def where(facts: Facts, width: int) -> Iterator[Line]:
    if not facts.urls:
        text = (
            "This machine has no address in a network. Look whether the cable is in, "
            "or choose Network in the menu."
        )
        yield from wrapped(text, width, "bad")
        return
    verb = "Log in" if facts.is_set_up else "Set this node up"
    yield Line(f"{verb}, by a browser in the same network:", "quiet")
    for url in facts.urls[:4]:
        yield Line(f"  {url}", "strong")


def fingerprint_lines(text: str) -> Iterator[Line]:
    """16 pairs a line, as browsers show it."""
    pairs = text.split(":")
    for start in range(0, len(pairs), 16):
        yield Line(f" {':'.join(pairs[start : start + 16])}")


def states(services: tuple[Service, ...], width: int) -> Iterator[Line]:
    """What is not well with its reason; what runs in one line."""
    if not services:
        return
    wrong = [s for s in services if s.state != "running"]
    if not wrong:
        yield Line(f"All {len(services)} services run.")
        return
    yield Line(f"{len(services) - len(wrong)} of {len(services)} services run.")
    for service in wrong:
        mark = MARKS.get(service.state, "..")
        text = f"{mark} {service.title}: {service.state} {service.reason}".rstrip()
        yield Line(shortened(text, width), "bad" if mark == "!!" else "plain")


def wrapped(text: str, width: int, look: str) -> Iterator[Line]:
    for line in textwrap.wrap(text, width):
        yield Line(line, look)


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def picture(url: str) -> list[str]:
    """The QR code as lines: dark modules are the screen's own dark. In capitals it is
    smaller, and schemes and hosts are the same in both."""
    import segno

    made = segno.make_qr(url.upper(), error="l", boost_error=False)
    rows = [list(row) for row in made.matrix_iter(border=2)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return [
        "".join(BLOCKS[above, below] for above, below in zip(*pair, strict=True))
        for pair in pairs
    ]
