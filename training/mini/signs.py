"""Letters, figures and signs, drawn from fonts and named as Unicode names them.

Clip art and emoji have few of them, and a catalogue has many: on stamps, coins, blocks and keys, as
logos and pictograms. Unicode says what each sign is; several typefaces draw it, solid or outlined.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype")
# Not DejaVu Sans Bold: letters of the Tux Paint stamps, which measure the encoder, have its design.
TYPEFACES = (
    "freefont/FreeSansBold.ttf",
    "dejavu/DejaVuSerif.ttf",
    "freefont/FreeSans.ttf",
    "freefont/FreeSerif.ttf",
    "freefont/FreeSerifBoldItalic.ttf",
    "liberation/LiberationSans-Bold.ttf",
    "liberation/LiberationMono-Regular.ttf",
    "ancient-scripts/Symbola_hint.ttf",
)
# Code points: Latin with accents, Greek, money, arrows, mathematics, weather, planets, chess,
# cards, music, dingbats, geometric shapes, staves.
_RANGES = (
    (0x21, 0x7E),
    (0xA1, 0xFF),
    (0x391, 0x3A9),
    (0x3B1, 0x3C9),
    (0x20A0, 0x20BF),
    (0x2190, 0x2199),
    (0x221A, 0x221E),
    (0x2248, 0x2248),
    (0x2260, 0x2265),
    (0x25A0, 0x25CF),
    (0x2600, 0x269F),
    (0x2701, 0x2767),
    (0x1D11E, 0x1D122),
    (0x1D13A, 0x1D140),
    (0x1D15D, 0x1D161),
)
_CASE = re.compile(r"^latin (small|capital) |(?<=greek )(small|capital) ")
_NO_THING = re.compile(
    r"\b(white|black|heavy|light|musical symbol|ballot|draughting|dingbat|double-struck|"
    r"with (?!diaeresis|tilde|acute|grave|circumflex|cedilla|ring|stroke)\w.*)\b"
)
# Signs that are named after what they stand for, and show none of it: planets and the zodiac.
_STAND_FOR = range(0x263F, 0x2654)
_SIDE = 224
_OUTLINE = 5


def sign_name(sign: str) -> str:
    """Turn a sign's Unicode name into the words that people use.

    >>> sign_name("Q"), sign_name("♞"), sign_name("7"), sign_name("ü")
    ('letter q', 'chess knight', 'number seven', 'letter u with umlaut')
    """
    name = unicodedata.name(sign, "").lower()
    name = _NO_THING.sub(" ", _CASE.sub("", name))
    name = name.replace("diaeresis", "umlaut").replace("digit ", "number ")
    if ord(sign) in _STAND_FOR:
        name += " symbol"
    return " ".join(name.split())


def signs() -> Iterator[str]:
    """Every sign, in the order of the code points."""
    for first, last in _RANGES:
        for code in range(first, last + 1):
            if len(sign_name(chr(code))) > 1:
                yield chr(code)


def draw_sign(sign: str, typeface: str, outlined: bool) -> Image.Image:
    """Draw a sign in black, RGBA; empty where the typeface has none."""
    font = ImageFont.truetype(FONTS / typeface, _SIDE)
    canvas = Image.new("RGBA", (3 * _SIDE, 3 * _SIDE))
    pen = ImageDraw.Draw(canvas)
    fill, width = ("white", _OUTLINE) if outlined else ("black", 0)
    pen.text((_SIDE, _SIDE), sign, fill, font, stroke_width=width, stroke_fill="black")
    box = canvas.getbbox()
    return canvas.crop(box) if box else canvas


def drawn_signs() -> Iterator[tuple[str, str, partial[Image.Image]]]:
    """Every sign in every typeface that has it: a key, its name, and what draws it."""
    covered = {typeface: _covered(typeface) for typeface in TYPEFACES}
    for sign in signs():
        for place, typeface in enumerate(TYPEFACES):
            if ord(sign) in covered[typeface]:
                draw = partial(draw_sign, sign, typeface, outlined=place % 2 == 1)
                yield f"{ord(sign):x}-{Path(typeface).stem}", sign_name(sign), draw


def _covered(typeface: str) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    with TTFont(FONTS / typeface) as font:
        return frozenset(font.getBestCmap())
