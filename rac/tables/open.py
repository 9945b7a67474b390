"""From what the user typed to a table."""

from __future__ import annotations

import difflib
from pathlib import Path

from rac.errors import InputError
from rac.tables.csv_table import CsvTable
from rac.tables.datasets_table import HubTable, SavedDatasetTable
from rac.tables.frame_table import Frame, FrameTable
from rac.tables.imagefolder_table import ImageFolderTable
from rac.tables.jsonl_table import JsonlTable
from rac.tables.parquet_table import ParquetTable
from rac.tables.table import Table

KINDS = (
    "a .csv, .tsv, .parquet or .jsonl file, a folder saved by Hugging Face datasets, "
    "imagefolder:DIR, hub:NAME[:SPLIT] or the name of a data card (`rac data list`)"
)


def open_table(
    source: str | Path | Frame | Table,
    *,
    image: str | None = None,
    label: str | None = None,
    text: str | None = None,
    id: str | None = None,
    split: str | None = None,
) -> Table:
    """Open anything that holds items.

    Args:
        source: a ``.csv``, ``.tsv``, ``.parquet`` or ``.jsonl`` file; a folder that ``datasets``
            saved, or one of images; ``imagefolder:DIR``; ``hub:NAME``, ``hub:NAME:SPLIT`` or
            ``hub:NAME:CONFIG:SPLIT``; a data card's name with or without ``:SPLIT``. A card
            without a split is all its splits, one after the other. Or what a program holds: a
            DataFrame of pandas or polars, a ``datasets.Dataset``, anything that gives itself as
            Arrow, or a sequence of images (see :class:`rac.tables.frame_table.FrameTable`). A
            table that is open already is given back.
        image: column with the images; None for the first that is called like one.
        label: column with the classes.
        text: column with captions.
        id: column with ids; without one, row numbers are the ids.
        split: the split, where ``source`` does not say it.

    Raises:
        InputError: there is nothing of that name, it cannot be read, or a column is not there.
        JobFailed: the data of a card or of the hub cannot be fetched.

    >>> import pandas
    >>> shop = pandas.DataFrame({"photo": ["a.png"], "colour": ["red"], "sku": ["7"]})
    >>> open_table(shop, label="colour").roles
    Columns(image='photo', label='colour', text=None, id='sku')
    """
    asked = {"image": image, "label": label, "text": text, "id": id}
    if isinstance(source, Table):
        if split is not None or any(asked.values()):
            raise InputError(
                f"{source.source} is open already; name its columns where it is opened"
            )
        return source
    if not isinstance(source, str | Path):
        if split is not None:
            raise InputError(f"what is held in memory has no splits, so no split {split!r}")
        return FrameTable(source, asked)
    name = str(source)
    if name.startswith("imagefolder:"):
        folder = Path(name.removeprefix("imagefolder:")).expanduser()
        if split is not None:
            folder = folder / split
        if not folder.is_dir():
            raise InputError(f"{name}: there is no folder {folder}")
        return ImageFolderTable(name, folder, asked)
    if name.startswith("hub:"):
        return _open_hub(name, split, asked)
    path = Path(source).expanduser()
    if path.is_dir():
        if SavedDatasetTable.is_one(path):
            return SavedDatasetTable(name, path, split, asked)
        return ImageFolderTable(name, path / split if split else path, asked)
    if path.exists():
        return _open_file(name, path, split, asked)
    return _open_card(name, split, asked)


def _open_file(name: str, path: Path, split: str | None, asked: dict[str, str | None]) -> Table:
    if split is not None:
        raise InputError(f"{name}: a file has no splits, so no split {split!r}")
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"{name}: not a file that can be read twice; save it to a file first")
    try:
        if suffix in (".csv", ".tsv", ".tab", ".txt"):
            return CsvTable(name, path, asked)
        if suffix in (".parquet", ".pq"):
            return ParquetTable(name, [path], asked)
        if suffix in (".jsonl", ".ndjson"):
            return JsonlTable(name, path, asked)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    raise InputError(f"{name}: files that end in {suffix or 'nothing'} are not read; give {KINDS}")


def _open_hub(name: str, split: str | None, asked: dict[str, str | None]) -> Table:
    parts = name.removeprefix("hub:").split(":")
    if not parts[0] or len(parts) > 3 or (split is not None and len(parts) > 1):
        raise InputError(f"{name}: write hub:NAME, hub:NAME:SPLIT or hub:NAME:CONFIG:SPLIT")
    config = parts[1] if len(parts) == 3 else None
    return HubTable(name, parts[0], config, parts[-1] if len(parts) > 1 else split, asked)


def _open_card(name: str, split: str | None, asked: dict[str, str | None]) -> Table:
    from rac.cards import list_cards, open_card_table

    card, _, named_split = name.partition(":")
    known = list_cards()
    if card in known:
        return open_card_table(card, split=named_split or split, asked=asked, source=name)
    near = difflib.get_close_matches(card, known, n=1, cutoff=0.6)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(f"{name}: no such file, folder or data card.{guess} Give {KINDS}.")
