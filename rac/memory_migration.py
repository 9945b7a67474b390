"""A memory moved to another encoder: the images are embedded again, and both are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rac.encoders.base import FloatArray
from rac.errors import InputError
from rac.leave_one_out import (
    NEIGHBOURS,
    classify_by_others,
    deal_folds,
    neighbours_among_others,
)
from rac.tables import Table, open_table
from retrieval_index import Batch, Memory

_SEED = 4


@dataclass(frozen=True)
class Migration:
    """How the old memory and the new one compare, over the rows that both have.

    Attributes:
        rows: rows of the old memory.
        embedded: rows of it that the new one has; the images of the others could not be read.
        compared: rows that asked both for their neighbours, a sample where there are many.
        overlap: mean share of a row's ten nearest that both agree on, in [0, 1].
        old_accuracy: leave-one-out accuracy of the old memory on the labelled ones among them;
            None without labels.
        new_accuracy: the same of the new one.
    """

    rows: int
    embedded: int
    compared: int
    overlap: float
    old_accuracy: float | None
    new_accuracy: float | None


def recorded_images(memory: Memory, images_from: Path | None, place: Path) -> tuple[Table, Path]:
    """Give a table of a memory's image references, and the folder that they lie in.

    Args:
        memory: whose rows have a ``source``.
        images_from: the folder that relative references start from; None takes the one that the
            memory has recorded.
        place: a folder for the table's file.

    Raises:
        InputError: no row has a reference, or relative ones start from nowhere.
    """
    recorded = memory.manifest.images_from
    base = images_from or (Path(recorded) if recorded else None)
    pairs = [(i, s) for i, s in zip(memory.ids, memory.sources, strict=True) if s is not None]
    if not pairs:
        raise InputError(
            "the memory records no image references; name a table with the images (--table)"
        )
    if base is None:
        raise InputError(
            "the memory does not record where its images lie; name the folder (--images-from) "
            "or a table (--table)"
        )
    base = base.resolve()
    path = place / "images.parquet"
    sources = [s if "://" in s else str(base / s) for _, s in pairs]
    pq.write_table(pa.table({"id": [i for i, _ in pairs], "image": sources}), path)
    return open_table(str(path), image="image", id="id"), base


def with_rows_of(
    memory: Memory,
    batches: Iterable[Batch],
    encode_texts: Callable[[Sequence[str]], FloatArray] | None,
) -> Iterator[Batch]:
    """Give newly embedded vectors the rows that a memory has under their ids; others are dropped.

    Args:
        memory: the old memory.
        batches: new vectors with ids.
        encode_texts: the new encoder's, where the memory keeps text vectors; else None.

    Raises:
        InputError: none of the ids is in the memory.
    """
    row_of = {id: row for row, id in enumerate(memory.ids)}
    found = 0
    for batch in batches:
        ids = batch.rows.column("id").to_pylist()
        known = np.array([id in row_of for id in ids], dtype=np.bool_)
        rows = memory.rows.take(pa.array([row_of[id] for id in ids if id in row_of], pa.int64()))
        found += len(rows)
        told = None
        if encode_texts is not None:
            texts = rows.column("text").to_pylist()
            there = [place for place, text in enumerate(texts) if text]
            encoded = encode_texts([texts[place] for place in there])
            told = np.zeros((len(texts), encoded.shape[1]), dtype=np.float32)
            told[there] = encoded
        yield Batch(np.asarray(batch.vectors)[known], rows, told)
    if not found:
        raise InputError("none of the table's ids is in the memory; name its column with --id")


def compare(old: Memory, new: Memory, *, most: int = 2000) -> Migration:
    """Compare neighbours and leave-one-out accuracy of two memories of the same rows.

    Args:
        old: the memory as it is.
        new: the memory as the other encoder makes it; rows are matched by id.
        most: rows that ask, drawn by a fixed seed.
    """
    row_new = {id: row for row, id in enumerate(new.ids)}
    both = [(row, row_new[id]) for row, id in enumerate(old.ids) if id in row_new]
    chosen = np.random.default_rng(_SEED).permutation(len(both))[:most]
    pairs = np.array(both, dtype=np.int64).reshape(-1, 2)[np.sort(chosen)]
    folds = deal_folds(old, new)
    near_old = neighbours_among_others(old, NEIGHBOURS, rows=pairs[:, 0], folds=folds).rows
    near_new = neighbours_among_others(new, NEIGHBOURS, rows=pairs[:, 1], folds=folds).rows
    shares = []
    for a, b in zip(near_old, near_new, strict=True):
        ids_a = {old.ids[row] for row in a if row >= 0}
        ids_b = {new.ids[row] for row in b if row >= 0}
        shares.append(len(ids_a & ids_b) / max(len(ids_a), len(ids_b), 1))
    return Migration(
        rows=len(old),
        embedded=len(both),
        compared=len(pairs),
        overlap=float(np.mean(shares)) if shares else 0.0,
        old_accuracy=classify_by_others(old, rows=pairs[:, 0], folds=folds).accuracy,
        new_accuracy=classify_by_others(new, rows=pairs[:, 1], folds=folds).accuracy,
    )
