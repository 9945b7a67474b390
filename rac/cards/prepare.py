"""From a card's raw files to one Parquet table a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from rac.cards.built import Built
from rac.cards.card import (
    Card,
    CifarRecipe,
    DigitsRecipe,
    FashionMnistRecipe,
    GroceryRecipe,
    INaturalistRecipe,
    OpenClipartRecipe,
    SplitListsRecipe,
    TuxPaintRecipe,
    load_card,
)
from rac.cards.sources import require_source
from rac.errors import InputError, JobFailed
from rac.home import cache_home
from rac.tables.columns import Columns
from rac.tables.folders import replace_folder
from rac.tables.parquet_table import ParquetTable, write_parquet
from rac.tables.table import Table
from retrieval_index.lock import LockRefused, hold

# Raised whenever the same card and files would give other tables.
_FORMAT = 2
_BATCH_ROWS = 512


class Prepared(BaseModel):
    """What lies in a prepared folder; kept there as ``prepared.json``.

    Args:
        format: version of the way tables are made.
        fingerprint: of the card that they were made from.
        base: the folder that image paths start from; None where images are bytes.
        rows: split to number of rows.
        differences: how the tables differ from the card's counts, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    fingerprint: str
    base: str | None
    rows: dict[str, int]
    differences: tuple[str, ...] = ()


def prepared_home() -> Path:
    """Give the folder that holds the prepared tables of all cards."""
    return cache_home() / "data"


def prepare(name: str, home: str | Path | None = None) -> Path:
    """Make a card's tables, unless they are there already.

    Args:
        name: the card.
        home: where to make the folder of that name; None for ``prepared_home()``.

    Returns:
        The folder, with ``<split>.parquet`` for each split.

    Raises:
        InputError: there is no such card.
        JobFailed: the raw files are missing or broken, their counts are not the card's, or the
            folder cannot be locked.
    """
    return prepare_card(load_card(name), home)


def prepare_card(
    card: Card, home: str | Path | None = None, *, source: str | Path | None = None
) -> Path:
    """Make the tables of a card object; see ``prepare``.

    Args:
        card: the card.
        home: where to make the folder of the card's name.
        source: the raw files; None to look for them where the card says.

    Raises:
        JobFailed: as for ``prepare``.
    """
    folder = Path(home or prepared_home()) / card.name
    if _is_current(folder, card):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locked:
        lock = folder.parent / f".{card.name}.lock"
        try:
            # Another process that makes the tables is waited for, however long it takes.
            locked.enter_context(hold(lock, wait_s=None, what=str(folder)))
        except LockRefused as fault:
            raise JobFailed(str(fault)) from fault
        if _is_current(folder, card):
            return folder
        raw = Path(source) if source is not None else require_source(card)
        built = _build(card, raw)
        with replace_folder(folder) as draft:
            rows, differences = _write_splits(card, built, draft)
            if differences and card.counts == "exact":
                raise JobFailed(f"{card.name}: {'; '.join(differences)}. Are all files in {raw}?")
            state = Prepared(
                format=_FORMAT,
                fingerprint=card.fingerprint(),
                base=str(built.base.resolve()) if built.base is not None else None,
                rows=rows,
                differences=tuple(differences),
            )
            (draft / "prepared.json").write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
    return folder


def read_prepared(folder: Path) -> Prepared | None:
    """Read what lies in a prepared folder; None where nothing usable does."""
    try:
        return Prepared.model_validate_json((folder / "prepared.json").read_bytes())
    except (OSError, ValidationError):
        return None


def open_card_table(
    name: str,
    *,
    split: str | None = None,
    asked: Mapping[str, str | None] | None = None,
    source: str | None = None,
) -> Table:
    """Open a card's table, preparing it on first use.

    Args:
        name: the card.
        split: one split; None for all, one after the other (the column ``split`` tells them
            apart).
        asked: columns asked for by role.
        source: what the user called the table.

    Raises:
        InputError: there is no such card, split or column.
        JobFailed: the table cannot be prepared.
    """
    card = load_card(name)
    splits = [one.name for one in card.splits]
    if split is not None and split not in splits:
        raise InputError(
            f"{name}: there is no split {split!r}; the splits are: {', '.join(splits)}"
        )
    folder = prepare_card(card)
    state = read_prepared(folder)
    if state is None:
        raise JobFailed(f"{folder}: removed while it was being read; try again")
    wanted = splits if split is None else [split]
    return ParquetTable(
        source or name,
        [folder / f"{one}.parquet" for one in wanted],
        asked or {},
        base=Path(state.base) if state.base is not None else None,
        preferred=Columns(
            image=card.column_of("image"),
            label=card.column_of("label"),
            text=card.column_of("text"),
            id=card.column_of("id"),
        ),
    )


def _is_current(folder: Path, card: Card) -> bool:
    state = read_prepared(folder)
    return (
        state is not None
        and state.format == _FORMAT
        and state.fingerprint == card.fingerprint()
        and (state.base is None or Path(state.base).is_dir())
        and all((folder / f"{split.name}.parquet").is_file() for split in card.splits)
    )


def _build(card: Card, raw: Path) -> Built:
    recipe = card.recipe
    match recipe:
        case TuxPaintRecipe():
            from rac.cards.tuxpaint import build_tuxpaint

            return build_tuxpaint(recipe, raw)
        case FashionMnistRecipe():
            from rac.cards.fashion_mnist import build_fashion_mnist

            return build_fashion_mnist(recipe, raw)
        case GroceryRecipe():
            from rac.cards.grocery import build_grocery

            return build_grocery(recipe, raw)
        case OpenClipartRecipe():
            from rac.cards.openclipart import build_openclipart

            return build_openclipart(recipe, raw)
        case CifarRecipe():
            from rac.cards.cifar import build_cifar

            return build_cifar(recipe, raw)
        case SplitListsRecipe():
            from rac.cards.split_lists import build_split_lists

            return build_split_lists(recipe, raw)
        case INaturalistRecipe():
            from rac.cards.inaturalist import build_inaturalist

            return build_inaturalist(recipe, raw)
        case DigitsRecipe():
            from rac.cards.digits import build_digits

            return build_digits(recipe, raw)


@dataclass
class _Tally:
    """Counts rows and classes of a split as they pass."""

    rows: int = 0
    classes: int = 0


def _write_splits(card: Card, built: Built, folder: Path) -> tuple[dict[str, int], list[str]]:
    columns = [column.name for column in card.columns]
    if columns != [*built.fields, "split"]:
        raise JobFailed(
            f"{card.name}: the card lists the columns {columns}, its tables have "
            f"{[*built.fields, 'split']}"
        )
    schema = pa.schema([*built.fields.items(), ("split", pa.string())])
    label = card.column_of("label")
    rows: dict[str, int] = {}
    differences: list[str] = []
    for split in card.splits:
        tally = _Tally()
        batches = _batches(built.splits[split.name](), schema, split.name, label, tally)
        write_parquet(folder / f"{split.name}.parquet", schema, batches)
        rows[split.name] = tally.rows
        if tally.rows != split.rows:
            differences.append(
                f"{split.name} has {tally.rows:,} rows, the card says {split.rows:,}"
            )
        if split.classes is not None and tally.classes != split.classes:
            differences.append(
                f"{split.name} has {tally.classes:,} classes, the card says {split.classes:,}"
            )
    return rows, differences


def _batches(
    rows: Iterable[Mapping[str, Any]],
    schema: pa.Schema,
    split: str,
    label: str | None,
    tally: _Tally,
) -> Iterator[pa.RecordBatch]:
    stream = iter(rows)
    classes: set[Any] = set()
    while chunk := [{**row, "split": split} for row in islice(stream, _BATCH_ROWS)]:
        tally.rows += len(chunk)
        if label is not None:
            classes.update(row[label] for row in chunk if row[label] is not None)
            tally.classes = len(classes)
        yield pa.RecordBatch.from_pylist(chunk, schema=schema)
