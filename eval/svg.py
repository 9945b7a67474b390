"""A matplotlib figure as SVG that belongs to the page: its colours, its font, and named dots."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from eval.plots import style

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

# The page defines these custom properties twice, for light and for dark.
_PAGE_COLOURS = {
    style.INK: "--ink",
    style.MUTED: "--muted",
    style.GRID: "--line",
    style.UNGROUPED: "--plain",
    **{colour: f"--{name}" for name, colour in style.GROUP_COLOURS.items()},
    **{colour: f"--{name}" for name, colour in style.METHOD_COLOURS.items()},
    **{
        colour: f"--line-{number}"
        for number, colour in enumerate(style.LINES)
        if colour not in style.METHOD_COLOURS.values()
    },
}


def inline_svg(
    figure: Figure,
    *,
    title: str,
    prefix: str,
    dot_titles: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Give a figure as an ``<svg>`` element to put into HTML.

    Args:
        figure: any figure of :mod:`eval.plots`.
        title: what the picture shows, read out to those who cannot see it.
        prefix: unique in the page; starts every id within the picture.
        dot_titles: for each group id of a scatter, one name a dot in drawing order, "" for none;
            shown when the pointer rests on it.

    Returns:
        Markup whose text is escaped, without a document type, metadata or a style sheet.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rac"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314  our own figure, not a file
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for group, names in (dot_titles or {}).items():
        _name_dots(root, figure, group, names)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", title)
    for element in root.iter():
        _rename_ids(element, prefix)
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in _PAGE_COLOURS.items():
        text = text.replace(colour, f"var({variable},{colour})")
    return re.sub(r">\s+<", "><", text)


def _name_dots(root: ElementTree.Element, figure: Figure, group: str, names: Sequence[str]) -> None:
    """Draw the dots of a group as round ends of lines without length, each with its name.

    That takes a third of the space of matplotlib's own markers, and there may be 10,000.
    """
    found = root.find(f".//*[@id='{group}']")
    if found is None:
        return
    dots = list(found.iter(f"{{{_SVG}}}use"))
    for child in found.findall(f"{{{_SVG}}}g"):
        found.remove(child)
    (scatter,) = (
        artist
        for artist in figure.findobj(PathCollection)
        if isinstance(artist, PathCollection) and artist.get_gid() == group
    )
    colour = mpl.colors.to_hex(np.asarray(scatter.get_facecolor())[0])
    found.set("class", "dots")
    found.set(
        "style",
        f"stroke: {colour}; stroke-width: {scatter.get_sizes()[0] ** 0.5:.2f}; "
        f"stroke-opacity: {scatter.get_alpha():g}",
    )
    unnamed = []
    for dot, name in zip(dots, names, strict=True):
        x, y = (float(dot.attrib[axis]) for axis in "xy")
        place = f"M{x:.1f} {y:.1f}h0"
        if name:
            path = ElementTree.SubElement(found, f"{{{_SVG}}}path", d=place)
            ElementTree.SubElement(path, f"{{{_SVG}}}title").text = name
        else:
            unnamed.append(place)
    if unnamed:
        ElementTree.SubElement(found, f"{{{_SVG}}}path", d="".join(unnamed))


def _rename_ids(element: ElementTree.Element, prefix: str) -> None:
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.set(key, f"{prefix}-{value}")
        elif key in ("href", f"{{{_XLINK}}}href") and value.startswith("#"):
            element.set(key, f"#{prefix}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{prefix}-"))
