"""Makes blocks.ttf, in which tests of the look write: every letter is a block, so that
pages look alike whatever fonts a machine has.

    pip install fonttools && python tests/blueprints/looks/blocks.py
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

WIDE, GAP, LOW, HIGH = 560, 40, 500, 700
SHAPES = {".notdef": LOW, "low": LOW, "high": HIGH}
TALL = "bdfhklt"
RANGES = (range(0x21, 0x180), range(0x2010, 0x2045), range(0x2190, 0x2194))


def block(height: int) -> Any:
    pen = TTGlyphPen(None)
    pen.moveTo((GAP, 0))
    for corner in ((GAP, height), (WIDE - GAP, height), (WIDE - GAP, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def shape(code: int) -> str:
    letter = chr(code)
    if letter.isspace():
        return "space"
    is_high = letter.isupper() or letter.isdigit() or letter in TALL
    return "high" if is_high else "low"


def main() -> None:
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([*SHAPES, "space"])
    font.setupCharacterMap({0x20: "space", **{c: shape(c) for c in chain(*RANGES)}})
    glyphs = {name: block(height) for name, height in SHAPES.items()}
    font.setupGlyf({**glyphs, "space": TTGlyphPen(None).glyph()})
    font.setupHorizontalMetrics(
        {**dict.fromkeys(SHAPES, (WIDE, GAP)), "space": (300, 0)}
    )
    font.setupHorizontalHeader(ascent=900, descent=-250)
    font.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
    lines = {"sTypoAscender": 900, "sTypoDescender": -250}
    font.setupOS2(**lines, usWinAscent=900, usWinDescent=250)
    font.setupPost()
    font.save(Path(__file__).with_suffix(".ttf"))


if __name__ == "__main__":
    main()
