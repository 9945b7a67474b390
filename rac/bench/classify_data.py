"""What ``rac bench classify`` compares methods on: embedded once, the same for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from eval.arrays import Ints
from eval.baselines import Examples, Prompts
from rac.cards import list_cards, load_card
from rac.embedding import EmbeddingCache, Features, collect_features, embed_table
from rac.embedding.views import MOST_ROWS, embed_views, rows_of_small_classes
from rac.encoders import Encoder
from rac.errors import InputError
from rac.tables import open_table
from rac.text_vectors import TextVectors, read_texts


@dataclass(frozen=True)
class SplitTables:
    """The tables of a comparison; ``val`` may be missing."""

    name: str
    train: str
    test: str
    val: str | None


@dataclass(frozen=True, eq=False)
class ClassifyData:
    """N training rows, the validation rows that there are, and the test rows.

    Attributes:
        name: of the data set.
        encoder: what the encoder is called.
        encoder_identity: its hash.
        classes: the C names, sorted: those that have a training row.
        train: what is fitted: N images, and behind them further views of some.
        validation: what settings are chosen on; None where there are no such rows.
        test: what is measured on.
        prompts: the names of the classes, read by the text tower.
        ids: N ids of the training rows.
        texts: N captions of them.
        text_vectors: names of the classes and ``texts``, read by the text tower.
        left_out: rows without a label or a readable image, or of a class that is not trained.
    """

    name: str
    encoder: str
    encoder_identity: str
    classes: tuple[str, ...]
    train: Examples
    validation: Examples | None
    test: Examples
    prompts: Prompts | None
    ids: list[str]
    texts: list[str | None]
    left_out: int
    text_vectors: TextVectors | None = None

    @property
    def first_views(self) -> Examples:
        """The training images as they are: the first N rows of ``train``."""
        return self.train.pick(np.arange(len(self.ids)))

    @property
    def further_views(self) -> Examples:
        """Further views of training images, ``items`` says of which; there may be none."""
        return self.train.pick(np.arange(len(self.ids), len(self.train)))

    @property
    def counts(self) -> Ints:
        """(C,) training images of each class."""
        return self.train.counts(len(self.classes))

    def labels(self, examples: Examples) -> list[str]:
        """Give the class names of rows."""
        return [self.classes[number] for number in examples.classes]


def split_tables(
    dataset: str | None, train: str | None, test: str | None, val: str | None
) -> SplitTables:
    """Find the tables: those of a data card, or those that are named.

    Raises:
        InputError: neither a card nor both tables are named, or both are, or the card has no rows
            to train or test on.
    """
    if dataset is None:
        if train is None or test is None:
            raise InputError("name a data card (`rac data list`), or tables by --train and --test")
        return SplitTables(f"{train} / {test}", train, test, val)
    if (train, test, val) != (None, None, None):
        raise InputError(f"name either {dataset} or tables by --train, --val and --test, not both")
    if dataset not in list_cards():
        raise InputError(
            f"there is no data card {dataset!r}; the cards are: {', '.join(list_cards())}. "
            "Tables of your own go by --train and --test"
        )
    splits = [split.name for split in load_card(dataset).splits]
    for needed in ("train", "test"):
        if needed not in splits:
            raise InputError(f"{dataset} has no split {needed!r}, only {', '.join(splits)}")
    return SplitTables(
        dataset,
        f"{dataset}:train",
        f"{dataset}:test",
        f"{dataset}:val" if "val" in splits else None,
    )


def read_classify_data(
    tables: SplitTables,
    encoder: Encoder,
    columns: Mapping[str, str | None],
    *,
    views_below: int = MOST_ROWS,
    progress: bool = True,
) -> ClassifyData:
    """Embed the tables; embeddings that the cache knows are taken from it.

    Args:
        tables: to read.
        encoder: of images and class names.
        columns: the columns of the roles ``image``, ``label``, ``text`` and ``id``.
        views_below: images of classes with at most this many training rows give further rows to
            every method, mirrored, closer and turned; 0 for none.
        progress: whether progress bars are shown.

    Raises:
        InputError: a table has no label column, no row that can be used, or fewer than two classes.
    """
    train = _read(tables.train, encoder, columns, progress)
    labels = [train.items[row].label or "" for row in _usable(train)]
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise InputError(f"{tables.train}: two classes are needed, found {list(classes)}")
    test = _read(tables.test, encoder, columns, progress)
    val = None if tables.val is None else _read(tables.val, encoder, columns, progress)
    examples, rows = _examples(train, classes)
    base = open_table(tables.train, **columns).base
    items = [train.items[row] for row in rows]
    small = rows_of_small_classes([item.label or "" for item in items], views_below)
    examples = _with_views(examples, embed_views(items, small, base, encoder, progress=progress))
    tested, _ = _examples(test, classes)
    validation = None if val is None else _examples(val, classes)[0]
    if not len(tested):
        raise InputError(
            f"{tables.test}: no row has an image that can be read and a class of {tables.train}"
        )
    read = [part for part in (train, test, val) if part is not None]
    used = len(rows) + sum(len(part) for part in (tested, validation) if part is not None)
    texts = [item.text for item in items]
    text_vectors = read_texts(encoder, classes, texts)
    vectors = np.stack([text_vectors.names[name] for name in classes])
    return ClassifyData(
        name=tables.name,
        encoder=encoder.name,
        encoder_identity=encoder.identity,
        classes=classes,
        train=examples,
        validation=validation if validation is not None and len(validation) else None,
        test=tested,
        prompts=Prompts(vectors, encoder.logit_scale),
        ids=[train.items[row].id for row in rows],
        texts=texts,
        left_out=sum(len(part.items) for part in read) - used,
        text_vectors=text_vectors,
    )


def _with_views(examples: Examples, views: tuple[Features, Ints] | None) -> Examples:
    """Put further views of N images behind them."""
    images = np.arange(len(examples), dtype=np.int64)
    if views is None:
        return replace(examples, items=images)
    features, rows = views
    owners = rows[features.ok]
    return Examples(
        np.concatenate([examples.trunk, features.trunk[features.ok]]),
        np.concatenate([examples.embedding, features.embedding[features.ok]]),
        np.concatenate([examples.classes, examples.classes[owners]]),
        np.concatenate([images, owners]),
    )


def _read(
    source: str, encoder: Encoder, columns: Mapping[str, str | None], progress: bool
) -> Features:
    table = open_table(source, **columns)
    table.require("label")
    with EmbeddingCache(encoder) as cache:
        batches = embed_table(
            table, encoder, cache=cache, description=f"embedding {source}", progress=progress
        )
        return collect_features(batches, encoder)


def _usable(features: Features) -> list[int]:
    return [row for row, item in enumerate(features.items) if features.ok[row] and item.label]


def _examples(features: Features, classes: tuple[str, ...]) -> tuple[Examples, list[int]]:
    """Give the rows of known classes, and where they stand in the table."""
    place = {name: number for number, name in enumerate(classes)}
    rows = [row for row in _usable(features) if features.items[row].label in place]
    index: npt.NDArray[np.int64] = np.array(rows, np.int64)
    numbers = np.array([place[features.items[row].label or ""] for row in rows], np.int64)
    return Examples(features.trunk[index], features.embedding[index], numbers), rows
