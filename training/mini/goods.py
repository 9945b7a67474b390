"""Packaged goods that nobody sells: cartons, tubs, bottles and bags with made-up prints.

Half of what shops sell comes in packages. What is in them is told by their form and by what is
printed on them: a colour, the name, often a picture of the fruit. Packages are made here from that
general knowledge, with invented brands and with drawings of the flavour, and seen from many sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.mini.colours import COLOURS, sample_paint
from training.mini.pictures import Load, Picture, opener
from training.mini.scenes import cut_out
from training.mini.solids import SHAPES
from training.mini.studio import Solid, Studio, save_whole
from training.mini.vocabulary import invented_brand

# Words for a good (the first is printed), the packages that it comes in, the usual colours of the
# print; "+" where it comes in flavours.
GOODS = """
+juice|fruit juice: carton, brick, bottle; white, green, orange
+nectar|fruit drink: carton, brick, bottle; white, red, yellow
+smoothie: bottle, carton; white, pink, purple
+yoghurt|yogurt|fruit yoghurt: tub, carton; white, pink, blue, green
+soy yogurt|vegan yoghurt: tub, carton; white, green
+ice cream: tub, box; white, brown, blue
+jam|marmalade: jar; red, white
+tea|fruit tea: box; green, yellow, red
+lemonade|soft drink|soda: bottle, can; red, blue, green, yellow
+cereal|muesli: box, bag; yellow, red, blue
+pudding|dessert: tub; white, brown, yellow
+candy|sweets: bag, box; red, pink, yellow
milk: carton, bottle; white, blue, green, red
low-fat milk|semi-skimmed milk: carton, bottle; white, blue, green
lactose-free milk: carton; white, blue, purple
oat milk|oat drink: carton, brick; white, blue, grey, brown
soy milk|soya drink: carton, brick; white, green, yellow
almond milk|plant milk: carton, brick; white, brown, blue
buttermilk|sour milk|kefir: carton, bottle; white, blue, green
natural yoghurt|plain yogurt|Greek yoghurt: tub, carton; white, blue
sour cream|creme fraiche: tub; white, blue, green, red
cream|whipping cream|cooking cream: brick, carton, tub; white, red, blue
oat cream|oatghurt|oat yogurt: tub, carton, brick; white, blue, grey
cottage cheese|cream cheese|quark: tub; white, blue, green
butter|margarine: tub, flat box; yellow, white, blue
cheese: bag, flat box; yellow, red, blue
eggs|box of eggs: flat box; grey, white, brown
water|mineral water: bottle; blue, white, green
beer|lager: can, bottle; green, brown, yellow, red
wine|red wine: bottle; red, white, black
olive oil|cooking oil|vinegar: bottle; green, yellow
ketchup|tomato sauce: bottle, jar; red
mustard|mayonnaise: jar, bottle; yellow, white
honey|syrup: jar, bottle; yellow, orange, brown
soup|canned soup: can, carton; red, white, yellow
beans|canned beans|peas: can; green, red, blue
canned tomatoes: can; red
canned fish|tuna|sardines: flat can; blue, yellow, red
pet food|dog food|cat food: can, bag; purple, red, yellow
coffee|ground coffee: bag, can, jar; brown, red, black, green
cocoa|chocolate powder: can, box; brown
chocolate|chocolate bar: flat box; brown, purple, red, blue
cookies|biscuits|crackers: box, bag; red, blue, yellow, brown
crisps|potato chips|snack: bag; red, yellow, green, blue
nuts|peanuts: bag, can; blue, yellow, brown
pasta|spaghetti|noodles: bag, box; blue, yellow, red
rice: bag, box; white, blue, green
flour|sugar|salt: bag, box; white, blue, brown
bread|toast: bag; brown, yellow, white
frozen vegetables|frozen food: bag, box; blue, green
pizza|frozen pizza: flat box; red, green, black
baby food: jar; white, yellow, green
spice|pepper|seasoning: jar; black, red, green
shampoo|conditioner|shower gel: bottle; white, blue, pink, green, purple
soap|hand soap|lotion: bottle, box; white, pink, blue
toothpaste: flat box; white, red, blue
skin cream|moisturiser: jar, flat can; white, blue, pink
detergent|washing powder|cleaner: box, bottle; blue, white, orange, green
pills|medicine|vitamins: box, jar; white, blue, red
tissues|paper handkerchiefs: box, bag; white, blue, green
toy|building blocks: box; red, yellow, blue
light bulb: box; white, blue, yellow
"""

FLAVOURS: Mapping[str, tuple[str, ...]] = {
    "apple": ("red apple", "green apple", "apple"),
    "pear": ("pear",),
    "orange": ("tangerine", "orange"),
    "lemon": ("lemon",),
    "grapefruit": ("grapefruit", "tangerine"),
    "pineapple": ("pineapple",),
    "mango": ("mango",),
    "peach": ("peach",),
    "strawberry": ("strawberry", "strawberries"),
    "raspberry": ("raspberry", "raspberries"),
    "blueberry": ("blueberries", "blueberry"),
    "cherry": ("cherries", "cherry"),
    "grape": ("grapes",),
    "banana": ("banana",),
    "coconut": ("coconut",),
    "vanilla": ("soft ice cream", "white flower", "blossom"),
    "chocolate": ("chocolate bar", "chocolate"),
    "honey": ("honey pot", "honey"),
    "tomato": ("tomato",),
    "carrot": ("carrot",),
}

SIDES = 3
_EACH = 4
_PRINT = 320


@dataclass(frozen=True)
class Good:
    """A packaged good.

    Attributes:
        words: What it is called.
        packages: Names of `training.mini.solids.SHAPES`.
        colours: Usual ones of the print.
        flavour: A key of `FLAVOURS`, or None.
    """

    words: tuple[str, ...]
    packages: tuple[str, ...]
    colours: tuple[str, ...]
    flavour: str | None

    def names(self) -> list[str]:
        """What it is called, flavour first."""
        return [f"{self.flavour} {word}" if self.flavour else word for word in self.words]


def list_goods(table: str = GOODS) -> list[Good]:
    """Read the table; a good in flavours comes once in each."""
    found = []
    for line in table.strip().splitlines():
        words, _, rest = line.partition(": ")
        packages, _, colours = rest.partition("; ")
        flavours = list(FLAVOURS) if words.startswith("+") else [None]
        found += [
            Good(
                tuple(words.removeprefix("+").split("|")),
                tuple(packages.split(", ")),
                tuple(colours.split(", ")),
                flavour,
            )
            for flavour in flavours
        ]
    return found


def goods_pictures(drawings: Sequence[Picture], folder: Path, seed: int) -> Iterator[Picture]:
    """Packages from several sides; made where the folder has them not yet.

    Args:
        drawings: Where the drawings of flavours are taken from, by their names.
        folder: Where the pictures are kept.
        seed: Each package's print, sides and light depend on it and its place alone.
    """
    from rich.progress import track

    by_name: dict[str, list[Load]] = {}
    for drawing in drawings:
        by_name.setdefault(drawing.name.lower(), []).append(drawing.load)
    folder.mkdir(parents=True, exist_ok=True)
    studio: Studio | None = None
    for place, good in enumerate(track(list_goods(), description="packages")):
        for number in range(_EACH):
            rng = np.random.default_rng((seed, place, number))
            names = good.names()
            name = names[int(rng.integers(len(names)))]
            package = good.packages[int(rng.integers(len(good.packages)))]
            sides = [folder / f"{place:03d}-{number}-{side}.png" for side in range(SIDES)]
            if not sides[-1].exists():
                studio = studio or Studio()
                shown = [
                    load
                    for key in FLAVOURS.get(good.flavour or "", ())
                    for load in by_name.get(key, ())
                ]
                solid = _printed(good, package, name, shown, rng)
                with studio.solid(solid) as stage:
                    for path in sides:
                        save_whole(Image.fromarray(studio.shot(stage, rng)), path)
            for path in sides:
                called = f"{package.removeprefix('flat ')} of {name}"
                yield Picture(f"goods:{path.stem}", name, (called,), opener(path))


def _printed(
    good: Good, package: str, name: str, shown: Sequence[Load], rng: np.random.Generator
) -> Solid:
    corners, places = SHAPES[package](rng)
    ground = _paint(good.colours[int(rng.integers(len(good.colours)))], rng)
    second = _paint(COLOURS[int(rng.integers(len(COLOURS)))], rng)
    picture = cut_out(shown[int(rng.integers(len(shown)))]()) if shown else None
    sheet = Image.new("RGB", (2 * _PRINT, _PRINT), ground)
    brand = invented_brand(rng)
    front = _face(brand, name, picture, ground, second, rng)
    sheet.paste(front, (0, 0))
    sheet.paste(front if rng.random() < 0.5 else _back(ground, second, rng), (_PRINT, 0))
    lid = second if rng.random() < 0.5 else ground
    ImageDraw.Draw(sheet).rectangle((0, 0, 2 * _PRINT, int(0.15 * _PRINT)), fill=lid)
    return Solid(corners, places, sheet)


def _paint(colour: str, rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(255 * part) for part in sample_paint(colour, rng))
    return red, green, blue


def _face(
    brand: str,
    name: str,
    picture: Image.Image | None,
    ground: tuple[int, int, int],
    second: tuple[int, int, int],
    rng: np.random.Generator,
) -> Image.Image:
    """Print the front: brand above, name in the middle, the flavour below."""
    face = Image.new("RGB", (_PRINT, _PRINT), ground)
    pen = ImageDraw.Draw(face)
    if rng.random() < 0.6:
        low, high = sorted(int(edge) for edge in rng.integers(50, _PRINT, 2))
        pen.rectangle((0, low, _PRINT, high), fill=second)
    if rng.random() < 0.3:
        left, top = (int(edge) for edge in rng.integers(0, _PRINT // 2, 2))
        side = int(rng.integers(80, 200))
        pen.ellipse((left, top, left + side, top + side), fill=_paint("white", rng))
    if picture is not None:
        for _ in range(int(rng.integers(1, 4))):
            longest = int(rng.integers(90, 210))
            scale = longest / max(picture.size)
            shape = (max(1, int(scale * picture.width)), max(1, int(scale * picture.height)))
            small = picture.resize(shape)
            left = int(rng.integers(0, max(1, _PRINT - small.width)))
            top = int(rng.integers(_PRINT // 3, max(_PRINT // 3 + 1, _PRINT - small.height // 2)))
            face.paste(small, (left, top), small)
    ink = (255, 255, 255) if sum(ground) < 380 else _paint("black", rng)
    ink = second if rng.random() < 0.3 else ink
    for text, top, size in (
        (brand.upper() if rng.random() < 0.5 else brand.title(), 60, rng.integers(40, 72)),
        (name if rng.random() < 0.5 else name.title(), 125, rng.integers(24, 46)),
    ):
        font = ImageFont.load_default(int(size))
        left = max(4, int((_PRINT - pen.textlength(text, font=font)) / 2))
        pen.text((left, top + int(rng.integers(-8, 30))), text, fill=ink, font=font)
    return face


def _back(
    ground: tuple[int, int, int], second: tuple[int, int, int], rng: np.random.Generator
) -> Image.Image:
    """Print a side: lines too small to read, and a bar code."""
    face = Image.new("RGB", (_PRINT, _PRINT), ground)
    pen = ImageDraw.Draw(face)
    ink = (255, 255, 255) if sum(ground) < 380 else (60, 60, 60)
    for top in range(60, 220, int(rng.integers(9, 16))):
        pen.line((30, top, int(rng.integers(150, 290)), top), fill=ink, width=3)
    pen.rectangle((30, 240, 170, 310), fill=(255, 255, 255))
    for left in range(38, 162, 5):
        pen.line((left, 246, left, 304), fill=(0, 0, 0), width=int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        pen.rectangle((0, 200, _PRINT, 230), fill=second)
    return face
