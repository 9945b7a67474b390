"""A memory as plain files for other programs, and back: NumPy, Parquet and raw FAISS."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval_index.approximate import add_rows, save_index
from retrieval_index.array_files import BadArrayFile, open_array, write_array
from retrieval_index.arrays import FloatArray, as_vectors
from retrieval_index.building import Batch
from retrieval_index.errors import BadRows, BadVectors, MemoryFault
from retrieval_index.files import open_regular, read_bounded, sync_file, sync_folder, told_of
from retrieval_index.foreign_index import read_foreign_index
from retrieval_index.memory import Memory
from retrieval_index.metric import Metric
from retrieval_index.metrics_by_name import metric_named
from retrieval_index.stack import Stack

VECTORS: Final = "vectors.npy"
TEXTS: Final = "texts.npy"
ROWS: Final = "rows.parquet"
INDEX: Final = "index.faiss"
METRIC: Final = "metric.npz"
FACTS: Final = "memory.json"

_BLOCK_ROWS = 16_384
_MOST_FACTS = 1 << 20


class ExportFacts(BaseModel):
    """What ``memory.json`` says of an exported memory.

    Attributes:
        encoder: identity of the encoder that made the vectors.
        encoder_name: what it is called on the command line, where known.
        space: which of its outputs the vectors are.
        metric: name of the metric; ``metric.npz`` holds what it has learnt.
        images_from: the folder that relative image references start from, where known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str
    encoder_name: str | None = None
    space: str
    metric: str
    images_from: str | None = None


def export_memory(memory: Memory, folder: str | Path) -> list[Path]:
    """Write a memory's rows, without the deleted ones, as plain files into a new folder.

    ``vectors.npy`` (N, D) float32 as the encoder gave them; ``rows.parquet``; ``texts.npy`` where
    there are text vectors; ``index.faiss``, an exact inner-product index of the vectors under the
    metric, ids being row numbers; ``metric.npz``; ``memory.json``.

    Returns:
        The files.

    Raises:
        MemoryFault: the folder holds something already.
        OSError: it cannot be written; ``filename`` names it, also where the disk is full.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MemoryFault(f"{target}: holds something already; name a new or empty folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    part.mkdir()
    try:
        with told_of(target, part):
            _export(memory, part)
            for path in part.iterdir():
                sync_file(path)
            part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return sorted(target.iterdir())


def _export(memory: Memory, folder: Path) -> None:
    """Write the files of an exported memory."""
    import faiss

    for name, array in ((VECTORS, memory.vectors), (TEXTS, memory.text_vectors)):
        if array is not None:
            with open(folder / name, "wb") as handle:
                write_array(handle, array)
    pq.write_table(memory.rows, folder / ROWS)
    index = faiss.IndexFlatIP(memory.manifest.searchable_dim)
    add_rows(index, Stack([memory.searchable]))
    save_index(index, folder / INDEX)
    memory.metric.save(folder / METRIC)
    made = memory.manifest
    facts = ExportFacts(
        encoder=made.encoder,
        encoder_name=made.encoder_name,
        space=made.space,
        metric=made.metric,
        images_from=made.images_from,
    )
    (folder / FACTS).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_exported(folder: str | Path) -> tuple[ExportFacts, Metric, Iterator[Batch]]:
    """Read what ``export_memory`` wrote: ``memory.json``, the fitted metric, and the rows.

    Raises:
        MemoryFault: the folder was not written by ``export_memory``; or, when the rows are read, as
            ``plain_batches``.
    """
    source = Path(folder)
    path = source / FACTS
    if not path.is_file():
        raise MemoryFault(f"{source}: holds no exported memory (no {FACTS})")
    try:
        facts = ExportFacts.model_validate_json(read_bounded(path, _MOST_FACTS))
    except (OSError, ValidationError) as fault:
        raise MemoryFault(f"{path}: cannot be read ({fault})") from fault
    texts = source / TEXTS
    batches = plain_batches(
        source / ROWS, vectors=source / VECTORS, texts=texts if texts.exists() else None
    )
    return facts, metric_named(facts.metric).load(source / METRIC), batches


def plain_batches(
    rows: str | Path,
    *,
    vectors: str | Path | None = None,
    index: str | Path | None = None,
    texts: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[Batch]:
    """Read a memory's rows from plain files, block by block.

    Args:
        rows: a Parquet file of N rows.
        vectors: a ``.npy`` of (N, D) floating-point numbers; or
        index: a raw FAISS index of N vectors, which it must be able to give back.
        texts: a ``.npy`` of (N, E) text vectors.
        columns: the file's name for each of ``rows.COLUMNS`` that is called otherwise there.

    Raises:
        MemoryFault: a file cannot be read.
        BadVectors: not as many vectors as rows, or the index cannot give them back.
        BadRows: no such column.
    """
    source = _array(vectors) if vectors is not None else _Reconstructed(index)
    told = None if texts is None else _array(texts)
    try:
        open_regular(rows).close()
        table = pq.ParquetFile(rows)
    except (OSError, pa.ArrowException) as fault:
        raise MemoryFault(f"{rows}: not a readable Parquet file ({fault})") from fault
    count = table.metadata.num_rows
    for what, array in ((vectors or index, source), (texts, told)):
        if array is not None and len(array) != count:
            raise BadVectors(f"{what}: holds {len(array)} vectors, {rows} has {count} rows")
    start = 0
    for batch in _read_batches(table, rows):
        part = slice(start, start + len(batch))
        start += len(batch)
        named = _renamed(pa.Table.from_batches([batch]), columns or {}, rows)
        yield _batch(part, (vectors or index, source), named, (texts, told))
    if not count:
        named = _renamed(table.read(), columns or {}, rows)
        yield _batch(slice(0, 0), (vectors or index, source), named, (texts, told))


def _batch(
    part: slice,
    vectors: tuple[object, FloatArray | _Reconstructed],
    rows: pa.Table,
    texts: tuple[object, FloatArray | None],
) -> Batch:
    """Cut a block out of files, each given with its path; what is wrong names the file."""

    def block(path: object, array: FloatArray | _Reconstructed) -> FloatArray:
        return as_vectors(array[part], what=f"{path}, from row {part.start:,} on")

    told = None if texts[1] is None else block(texts[0], texts[1])
    return Batch(block(*vectors), rows, told)


def _read_batches(table: pq.ParquetFile, path: str | Path) -> Iterator[pa.RecordBatch]:
    batches = table.iter_batches(batch_size=_BLOCK_ROWS)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, pa.ArrowException) as fault:
            raise MemoryFault(f"{path}: not a readable Parquet file ({fault})") from fault
        if batch is None:
            return
        yield batch


class _Reconstructed:
    """Vectors that a raw FAISS index gives back, as an array would be read."""

    def __init__(self, path: str | Path | None) -> None:
        if path is None:
            raise MemoryFault("name the vectors: a .npy file, or a FAISS index")
        self._index: Any = read_foreign_index(path)
        self._path = path

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def __getitem__(self, part: slice) -> FloatArray:
        start, stop, _ = part.indices(len(self))
        try:
            found: FloatArray = self._index.reconstruct_n(start, stop - start)
        except RuntimeError as fault:
            raise BadVectors(
                f"{self._path}: this kind of index cannot give its vectors back; "
                f"import them from a .npy file ({fault})"
            ) from fault
        return found


def _array(path: str | Path) -> FloatArray:
    try:
        array: FloatArray = open_array(path)
    except BadArrayFile as fault:
        raise MemoryFault(f"{path}: {fault}") from fault
    if array.ndim != 2:
        raise MemoryFault(f"{path}: is not one array of vectors, (rows, dimension)")
    return array


def _renamed(table: pa.Table, columns: Mapping[str, str], path: str | Path) -> pa.Table:
    """Call the columns as a memory does; ids that are numbers become strings."""
    for name, there in columns.items():
        if there not in table.column_names:
            raise BadRows(
                f"{path}: there is no column {there!r}; the columns are {table.column_names}"
            )
        if there != name and name in table.column_names:
            table = table.drop_columns([name])
    names = {there: name for name, there in columns.items()}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    for name in ("id", "label"):
        if name in table.column_names and pa.types.is_integer(table.schema.field(name).type):
            place = table.column_names.index(name)
            table = table.set_column(place, name, table.column(name).cast(pa.string()))
    return table
