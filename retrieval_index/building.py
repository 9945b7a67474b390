"""A memory written from a stream of rows: what is in RAM does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrieval_index.array_files import array_writer, open_array
from retrieval_index.arrays import FloatArray, as_vectors, unit_norm
from retrieval_index.contents import Contents
from retrieval_index.errors import BadRows, BadVectors, MemoryFault
from retrieval_index.manifest import IndexPlan, SegmentEntry
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import fit_metric, require_storable
from retrieval_index.planning import exact_is_enough
from retrieval_index.rows import check_rows, like_columns, refuse_repeated
from retrieval_index.segment import Segment
from retrieval_index.store import Draft
from retrieval_index.tuning import build_index

_BLOCK_ROWS = 16_384
_FIT_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows on their way into a memory.

    Attributes:
        vectors: (M, D) finite floating-point numbers, as the encoder gave them.
        rows: M rows in the same order; see ``rows.COLUMNS``. Only ``id`` is required.
        texts: (M, E) vectors of the rows' texts, zero for a row without text; None for none.
    """

    vectors: npt.ArrayLike
    rows: pa.Table
    texts: npt.ArrayLike | None = None


def checked(
    batch: Batch, *, dim: int | None = None, text_dim: int | None = None, free_text: bool = False
) -> tuple[FloatArray, pa.Table, FloatArray | None]:
    """Check a batch, and give its vectors, rows and unit-norm text vectors.

    Args:
        batch: of M rows.
        dim: the D that is needed; None takes any.
        text_dim: the E that is needed; None where there may be no text vectors.
        free_text: take text vectors of any dimension, or none.

    Raises:
        BadVectors: see ``as_vectors``; or of another dimension; or texts where there may be none.
        BadRows, DuplicateId: see ``check_rows``; or the numbers of vectors and rows differ.
    """
    vectors = as_vectors(batch.vectors, dim=dim)
    rows = check_rows(batch.rows)
    if len(vectors) != len(rows):
        raise BadRows(f"{len(vectors)} vectors but {len(rows)} rows")
    if batch.texts is None:
        blank = None if text_dim is None else np.zeros((len(rows), text_dim), dtype=np.float32)
        return vectors, rows, blank
    if text_dim is None and not free_text:
        raise BadVectors("text vectors: the memory keeps none; build it with them")
    texts = as_vectors(batch.texts, what="text vectors", dim=text_dim)
    if len(texts) != len(rows):
        raise BadRows(f"{len(texts)} text vectors but {len(rows)} rows")
    return vectors, rows, unit_norm(texts)


def build_contents(
    draft: Draft,
    batches: Iterable[Batch],
    metric: str | Metric,
    plan: IndexPlan,
    *,
    force: bool = False,
) -> Contents:
    """Write the rows of a new memory into a draft, and build the index that the plan asks for.

    Raises:
        MemoryFault: there is no batch; the metric is not known or cannot be stored; the plan's
            memory is too small.
        BadVectors, BadRows, DuplicateId: a batch is not fit, or does not fit the first one.
        TargetMissed: the index misses the plan's recall or latency, and ``force`` is not set.
    """
    if isinstance(metric, Metric):
        require_storable(metric)
    roles = _write_given(draft, batches)
    vectors = open_array(draft.path("vectors.npy"))
    with pa.memory_map(str(draft.path("rows.arrow"))) as source:
        rows = pa.ipc.open_file(source).read_all()
    refuse_repeated(rows.column("id"))
    fitted = _fit(metric, vectors, rows)
    with draft.write("searchable.npy") as path, array_writer(path) as searchable:
        for start in range(0, len(vectors), _BLOCK_ROWS):
            searchable.append(fitted.apply(vectors[start : start + _BLOCK_ROWS]))
        if not len(vectors):
            searchable.append(fitted.apply(vectors))
    names = {**roles, "searchable": "searchable.npy"}
    segment = Segment(
        vectors=vectors,
        searchable=open_array(draft.path("searchable.npy")),
        rows=rows,
        texts=open_array(draft.path("texts.npy")) if "texts" in roles else None,
        entry=SegmentEntry(
            count=len(rows), files={role: draft.entry(name) for role, name in names.items()}
        ),
    )
    contents = Contents((segment,), fitted)
    if exact_is_enough(len(rows), segment.searchable.shape[1], plan):
        return contents
    return Contents((segment,), fitted, build_index(contents.lookup, plan, force=force))


def live_batches(contents: Contents) -> Iterator[Batch]:
    """Give the rows of a memory that are not deleted, in order, in blocks."""
    for segment in contents.segments:
        alive = segment.alive
        for start in range(0, max(len(segment), 1), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            kept = alive[part]
            yield Batch(
                vectors=segment.vectors[part][kept],
                rows=segment.rows.slice(start, _BLOCK_ROWS).filter(pa.array(kept)),
                texts=None if segment.texts is None else segment.texts[part][kept],
            )


def _write_given(draft: Draft, batches: Iterable[Batch]) -> dict[str, str]:
    """Write vectors, rows and texts as they come; give the names of the files by role."""
    roles = {"vectors": "vectors.npy", "rows": "rows.arrow"}
    coming = iter(batches)
    first = next(coming, None)
    if first is None:
        raise MemoryFault("a memory is built from at least one batch of rows")
    vectors, rows, texts = checked(first, free_text=True)
    dim, text_dim = vectors.shape[1], None if texts is None else texts.shape[1]
    with ExitStack() as files:
        vector_file = files.enter_context(
            array_writer(files.enter_context(draft.write("vectors.npy")))
        )
        row_path = files.enter_context(draft.write("rows.arrow"))
        row_file = files.enter_context(pa.ipc.new_file(str(row_path), rows.schema))
        text_file = None
        if text_dim is not None:
            roles["texts"] = "texts.npy"
            text_file = files.enter_context(
                array_writer(files.enter_context(draft.write("texts.npy")))
            )
        schema = rows.schema
        while True:
            vector_file.append(vectors)
            row_file.write_table(rows)
            if text_file is not None and texts is not None:
                text_file.append(texts)
            batch = next(coming, None)
            if batch is None:
                return roles
            vectors, rows, texts = checked(batch, dim=dim, text_dim=text_dim)
            rows = like_columns(rows, schema)


def _fit(metric: str | Metric, vectors: FloatArray, rows: pa.Table) -> Metric:
    """Fit a metric by name; to rows evenly spaced among those sorted by label where many."""
    if isinstance(metric, Metric):
        return metric
    labels = rows.column("label")
    if len(vectors) <= _FIT_ROWS:
        return fit_metric(metric, vectors, labels.to_pylist())
    by_label = pc.sort_indices(pc.fill_null(labels, "")).to_numpy()
    chosen = np.sort(by_label[np.linspace(0, len(labels) - 1, num=_FIT_ROWS).astype(np.int64)])
    return fit_metric(metric, vectors[chosen], labels.take(pa.array(chosen)).to_pylist())
