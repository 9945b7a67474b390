"""Which column is the image, the label, the text and the id."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rac.errors import InputError

DEFAULT_NAMES: dict[str, tuple[str, ...]] = {
    "image": (
        "image", "img", "picture", "photo", "image_path", "img_path", "path", "filepath",
        "file_path", "file_name", "filename", "file", "image_url", "img_url", "url",
    ),
    "label": ("label", "labels", "class", "class_name", "category", "fine_label", "target"),
    "text": ("text", "caption", "description", "title", "name"),
    "id": ("id", "item_id", "product_id", "sku", "uid"),
}  # fmt: skip
"""For each role the column names that are taken unasked, the likeliest first, in any case."""


@dataclass(frozen=True)
class Columns:
    """The column of each role; None where the table has none.

    Args:
        image: paths, bytes, Hugging Face images or URLs.
        label: the class.
        text: a snippet that says something about the item.
        id: unique and stable; without one, row numbers are the ids.
    """

    image: str | None = None
    label: str | None = None
    text: str | None = None
    id: str | None = None


def check_names(names: Sequence[str], source: str) -> None:
    """Refuse columns of the same name.

    Raises:
        InputError: names the ones that occur more than once.
    """
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise InputError(f"{source}: more than one column is called {_listed(twice)}")


def missing_column(name: str, names: Sequence[str], source: str) -> InputError:
    """Say that a column is not there, which ones are, and which one was probably meant."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    there = _listed(names) if names else "none"
    return InputError(f"{source}: there is no column {name!r}; the columns are: {there}.{guess}")


def find_columns(
    names: Sequence[str],
    source: str,
    *,
    image: str | None = None,
    label: str | None = None,
    text: str | None = None,
    id: str | None = None,
    preferred: Columns | None = None,
) -> Columns:
    """Give each role its column: the one asked for, else the preferred one, else by name.

    Args:
        names: the table's columns.
        source: how messages call the table.
        image: the column asked for as image; None where none was.
        label: the same for the label.
        text: the same for the text.
        id: the same for the id.
        preferred: what the table itself says, for instance by a column's type.

    Raises:
        InputError: a column asked for is not there; the message lists the columns that are.

    >>> find_columns(["SKU", "photo", "colour"], "shop.csv", label="colour")
    Columns(image='photo', label='colour', text=None, id='SKU')
    """
    asked = {"image": image, "label": label, "text": text, "id": id}
    found: dict[str, str | None] = {}
    folded = {name.casefold(): name for name in reversed(names)}
    for role, name in asked.items():
        if name is not None:
            if name not in names:
                raise missing_column(name, names, source)
            found[role] = name
            continue
        own = getattr(preferred, role) if preferred is not None else None
        defaults = (folded[word] for word in DEFAULT_NAMES[role] if word in folded)
        found[role] = own or next(defaults, None)
    return Columns(**found)


def _listed(names: Sequence[str], most: int = 40) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
