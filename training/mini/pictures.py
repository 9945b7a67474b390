"""The labelled pictures that the recipe learns from: emoji, clip art and picture dictionaries.

No photo or drawing of an evaluation set is among them; ``separation`` checks that.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.mini.packages import NPM_SOURCES, fetch_npm
from training.mini.qtresource import read_rcc
from training.mini.signs import drawn_signs

RENDER_SIZE = 256
#: The source of pictures drawn from typefaces.
SIGNS = "signs"
Load = Callable[[], Image.Image]


@dataclass(frozen=True)
class Picture:
    """One picture and what it shows.

    Attributes:
        key: Unique, ``source:name``.
        name: What it shows, in a few words, e.g. ``red apple``.
        words: Looser words: keywords, folders.
        load: Renders it as RGBA, about 256 px.
    """

    key: str
    name: str
    words: tuple[str, ...]
    load: Load

    @property
    def source(self) -> str:
        """The collection that it belongs to."""
        return self.key.split(":", 1)[0]


def render_svg(svg: str) -> Image.Image:
    """Rasterise an SVG to RGBA, its longer side 256 px."""
    import resvg_py

    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RENDER_SIZE, height=RENDER_SIZE))
    return Image.open(io.BytesIO(data)).convert("RGBA")


def open_picture(source: Path | bytes) -> Image.Image:
    """Open a raster picture as RGBA, its longer side at most 512 px."""
    opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    opened.thumbnail((512, 512))
    return opened.convert("RGBA")


_OPENMOJI_SIGNS = re.compile(
    r"face|arrow|button|square|circle|clock|sign|zodiac|pride|hand|person|^(wo)?man-"
)
_TONES = re.compile(r"skin-tone|skin tone|keycap|-tone-|regional-indicator|flag")


# CLDR groups: components and flags.
_GROUPS_SKIPPED = (2, 9)


def _emoji_words(folder: Path) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """CLDR names and keywords by hyphenated name: ``red-apple`` to (hexcode, name, keywords)."""
    rows = json.loads((folder / "en" / "data.json").read_text())
    table = {}
    for row in rows:
        if row.get("group") in _GROUPS_SKIPPED or row.get("gender") is not None:
            continue
        label = row["label"].replace(":", "")
        slug = re.sub(
            r"[^a-z0-9]+", "-", label.lower().replace("\u2019", "").replace("'", "")
        ).strip("-")
        tags = tuple(tag for tag in row.get("tags", ()) if tag != label)
        table[slug] = (row["hexcode"].lower(), label, tags)
    return table


def emoji_pictures(cache: Path) -> Iterator[Picture]:
    """Every concept of every emoji set, skin tones and flags left out."""
    folders = {source.folder: fetch_npm(source, cache) for source in NPM_SOURCES}
    words = _emoji_words(folders.pop("emojibase"))
    solid = folders.pop("fluent-emoji-3d")
    for slug, (hexcode, label, tags) in words.items():
        for stem in (hexcode, hexcode.replace("-fe0f", ""), f"{hexcode}-fe0f"):
            path = solid / "assets" / f"{stem}.webp"
            if path.exists():
                yield Picture(f"fluent-emoji-3d:{slug}", label, tags, _opener(path))
                break
    squeezed = {slug.replace("-", ""): slug for slug in words}
    for vendor, folder in folders.items():
        icons = json.loads((folder / "icons.json").read_text())
        size = (icons.get("width", 16), icons.get("height", 16))
        for icon, drawing in icons["icons"].items():
            if _TONES.search(icon) or drawing.get("hidden"):
                continue
            slug = icon if icon in words else squeezed.get(icon.replace("-", ""), "")
            _, label, tags = words.get(slug, ("", icon.replace("-", " "), ()))
            if not slug and (vendor != "openmoji" or _OPENMOJI_SIGNS.search(icon)):
                continue
            width, height = drawing.get("width", size[0]), drawing.get("height", size[1])
            yield Picture(
                f"{vendor}:{icon}", label, tags, _svg_loader(drawing["body"], width, height)
            )


def _opener(path: Path | bytes) -> Load:
    return lambda: open_picture(path)


def _svg_loader(body: str, width: int, height: int) -> Load:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{RENDER_SIZE}" height="{RENDER_SIZE}" viewBox="0 0 {width} {height}">{body}</svg>'
    )
    return lambda: render_svg(svg)


OPENCLIPART = Path("/usr/share/openclipart")
_TITLE = re.compile(rb"<dc:title[^>]*>([^<]+)</dc:title>")
_KEYWORD = re.compile(rb"<rdf:li[^>]*>([^<]+)</rdf:li>")
_CLIPART_SKIPPED = re.compile(
    r"/(computer/(icons|buttons|folders|diagrams)|shapes|special|unsorted|signs_and_symbols/"
    r"(flags|map_symbols|led|clocks)|office/|recreation/games/cards)"
)
# Folders whose drawings share one title: the file's name and this say what they are.
_CLIPART_KINDS = {
    "transportation/roadsigns": "road sign",
    "transportation/aiga-symbols": "sign",
}
_CREDITS = re.compile(
    r"(ganson|mateya|jarno|vasama\w*|nicu|bucu\w*|benji|park|jean-?victor|bali?n?|gerald|"
    r"architett?\w*|frances\w*|linda|kim|dave|pena|yager|james|birkett|martin|leif|lodahl|bw|"
    r"simple|http\S*|rollan\w*|nathan|eady|jure|kodzoman|frouke|juliane|krug|kr)\b.*"
)


def clipart_name(title: str) -> str:
    """Turn a clip-art title or file name into words.

    >>> clipart_name("lime_half_slice_ganson")
    'lime half slice'
    >>> clipart_name("Tennis Shoe 02")
    'tennis shoe'
    """
    words = re.sub(r"[_\-]+", " ", title.lower())
    words = re.sub(r"\(.*?\)|[^a-z' ]+", " ", words)
    words = _CREDITS.sub("", re.sub(r"\s+", " ", words)).strip()
    return " ".join(word for word in words.split() if len(word) > 1 or word == "t")


def clipart_pictures(root: Path = OPENCLIPART) -> Iterator[Picture]:
    """Open Clip Art Library drawings: names from titles, words from keywords and folders."""
    for path in sorted((root / "png").rglob("*.png")):
        relative = path.relative_to(root / "png")
        if _CLIPART_SKIPPED.search(f"/{relative.as_posix()}"):
            continue
        drawing = root / "svg" / relative.with_suffix(".svg")
        head = drawing.read_bytes()[:20000] if drawing.exists() else b""
        titles = [t.decode("utf-8", "ignore") for t in _TITLE.findall(head)[:1]]
        keywords = [k.decode("utf-8", "ignore").strip().lower() for k in _KEYWORD.findall(head)]
        kind = _CLIPART_KINDS.get(relative.parent.as_posix())
        name = clipart_name(titles[0]) if titles and kind is None else ""
        name = name or clipart_name(relative.stem.removeprefix("aiga_"))
        name = f"{name.removesuffix(' sign')} {kind}" if kind else name
        words = tuple(
            word
            for word in dict.fromkeys(
                [*keywords, *(p.replace("_", " ") for p in relative.parts[:-1])]
            )
            if word.isascii()
            and 2 < len(word) < 30
            and word not in ("hash", "unsorted", "clip art")
        )
        if len(name) < 3 and not words:
            continue
        yield Picture(f"openclipart:{relative.as_posix()}", name or words[0], words, _opener(path))


PICTURE_DICTIONARY = Path("/usr/share/games/pysiogame/res/images/art4apps")
_PLURAL_KEPT = {"glasses", "shorts", "trousers", "pants", "overalls", "pyjamas", "grapes"}


def dictionary_pictures(root: Path = PICTURE_DICTIONARY) -> Iterator[Picture]:
    """The picture dictionary of pySioGame: one painted picture for a word, by topic."""
    topics = {"clothes_n_accessories": "clothing", "fruit_n_veg": "fruit and vegetables"}
    for path in sorted(root.rglob("*.jpg")):
        topic = topics.get(path.parent.name, path.parent.name)
        word = path.stem.replace("_", " ")
        words = (topic,) if topic in ("clothing", "food", "animals", *topics.values()) else ()
        yield Picture(f"dictionary:{path.parent.name}/{path.stem}", word, words, _opener(path))


GCOMPRIS = Path("/usr/share/gcompris-qt/rcc")
_GCOMPRIS_FILES = (
    ("lang", "words_sample/", ""),
    ("categorization", "tools/", "tool"),
    ("categorization", "monuments/", "monument"),
    ("categorization", "fishes/", "fish"),
    ("categorization", "others/", ""),
    ("categorization", "renewable/", ""),
    ("explore_farm_animals", "animals/", "animal"),
    ("explore_world_animals", "animals/", "animal"),
    ("babymatch", "images/", ""),
    ("instruments", "resource/", "musical instrument"),
    ("solar_system", "resource/", "planet"),
    ("money", "resource/", "money"),
    ("chess", "resource/", "chess piece"),
)
_PIECES = {"k": "king", "q": "queen", "r": "rook", "b": "bishop", "n": "knight", "p": "pawn"}
_NOT_THINGS = re.compile(
    r"question|background|error|sound|^(one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|sixteen|zero|color|postpoint|tux\w*|fusee|rape|monument|light|back|"
    r"captured|redo|undo|turn|chess-(black|white)|c2e-base)$"
)


def gcompris_pictures(root: Path = GCOMPRIS) -> Iterator[Picture]:
    """Photos and drawings of GCompris' word, sorting and exploring activities."""
    for resource, folder, topic in _GCOMPRIS_FILES:
        for inside, data in sorted(read_rcc(root / f"{resource}.rcc").items()):
            stem, _, suffix = inside.rpartition("/")[2].rpartition(".")
            if folder not in inside or suffix not in ("svg", "webp", "png", "jpg"):
                continue
            name = gcompris_name(resource, stem)
            if _NOT_THINGS.search(name) or len(name) < 3:
                continue
            load = _svg_text(data) if suffix == "svg" else _opener(data)
            words = (topic,) if topic and topic != name else ()
            yield Picture(f"gcompris:{resource}/{stem}.{suffix}", name, words, load)


def gcompris_name(resource: str, stem: str) -> str:
    """Turn a file name of a GCompris activity into words.

    >>> gcompris_name("categorization", "screwDriver2"), gcompris_name("money", "c20c")
    ('screw driver', '20 cent coin')
    """
    if resource == "chess" and (piece := re.fullmatch(r"[bw]([kqrbnp])", stem)):
        return f"chess {_PIECES[piece[1]]}"
    if resource == "money" and (money := re.fullmatch(r"([cn])(\d+)([ce])", stem)):
        unit, kind = {"c": "cent", "e": "euro"}[money[3]], {"c": "coin", "n": "banknote"}[money[1]]
        return f"{money[2]} {unit} {kind}"
    if resource == "solar_system":
        return stem if stem == "sun" else f"planet {stem}"
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"\d+$", "", stem)).lower()
    return words.replace("_", " ").replace("-color", "")


def _svg_text(data: bytes) -> Load:
    return lambda: render_svg(data.decode("utf-8", "ignore"))


def sign_pictures() -> Iterator[Picture]:
    """Letters, figures and signs of typefaces."""
    for key, name, draw in drawn_signs():
        yield Picture(f"{SIGNS}:{key}", name, (), draw)


def all_pictures(cache: Path) -> Iterator[Picture]:
    """Every labelled picture of every source, in a fixed order."""
    yield from emoji_pictures(cache)
    yield from clipart_pictures()
    yield from dictionary_pictures()
    yield from gcompris_pictures()
    yield from sign_pictures()
