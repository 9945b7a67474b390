"""Parquet files, read piece by piece and written with the same schema and compression."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rac.errors import InputError
from rac.tables.columns import Columns
from rac.tables.table import Table

_BATCH_BYTES = 64 * 1024 * 1024
_GROUP_ROWS = 64 * 1024
_READ_BUFFER_BYTES = 1 << 20


class ParquetTable(Table):
    """One or more Parquet files of the same columns, read one after the other.

    Args:
        source: what the user called the table.
        paths: the files, at least one.
        asked: columns asked for by role.
        base: where relative image paths start; None for the folder of the first file.
        preferred: the roles that a data card names.
    """

    suffix = ".parquet"

    def __init__(
        self,
        source: str,
        paths: list[Path],
        asked: Mapping[str, str | None],
        *,
        base: Path | None = None,
        preferred: Columns | None = None,
    ) -> None:
        self._paths = paths
        with _opened(paths[0]) as first:
            schema = first.schema_arrow
            self._compression = _compression(first.metadata)
        self._rows = 0
        for path in paths:
            with _opened(path) as file:
                self._rows += file.metadata.num_rows
                if not file.schema_arrow.equals(schema):
                    raise InputError(f"{path}: its columns differ from those of {paths[0]}")
        super().__init__(source, schema, base or paths[0].parent, asked, preferred)

    def num_rows(self) -> int:
        """Give the number of rows, as the files' footers say."""
        return self._rows

    def _read(self, size: int) -> Iterator[pa.RecordBatch]:
        for path in self._paths:
            with _opened(path) as file:
                rows = min(size, _rows_in(file.metadata, _BATCH_BYTES))
                try:
                    yield from file.iter_batches(batch_size=rows)
                except (pa.ArrowException, OSError) as error:
                    raise InputError(f"{path}: {error}") from error

    def _write(self, path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        write_parquet(path, schema, batches, compression=self._compression)


def write_parquet(
    path: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    *,
    compression: Mapping[str, str] | str = "zstd",
) -> None:
    """Write batches as Parquet, gathered into row groups of 65,536 rows or 64 MiB.

    Args:
        path: the file.
        schema: columns and metadata.
        batches: any number of batches of that schema.
        compression: one codec, or one for each column; columns that it lacks get ``zstd``.
    """
    if not isinstance(compression, str):
        codecs = set(compression.values())
        if len(codecs) == 1:
            compression = codecs.pop()
        else:
            compression = {name: compression.get(name, "zstd") for name in schema.names}
    with pq.ParquetWriter(path, schema, compression=compression) as writer:
        waiting: list[pa.RecordBatch] = []
        rows = size = 0
        for batch in batches:
            waiting.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
            if rows >= _GROUP_ROWS or size >= _BATCH_BYTES:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting, rows, size = [], 0, 0
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))


def _opened(path: Path) -> pq.ParquetFile:
    try:
        # pre_buffer would hold a whole row group, which may be the whole file.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BUFFER_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from error


def _rows_in(metadata: pq.FileMetaData, budget: int) -> int:
    """Give how many rows of a file hold about ``budget`` bytes, at least one."""
    size = sum(
        metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)
    )
    return max(1, int(budget * metadata.num_rows / max(1, size)))


def _compression(metadata: pq.FileMetaData) -> dict[str, str]:
    if metadata.num_row_groups == 0:
        return {}
    group = metadata.row_group(0)
    codecs: dict[str, str] = {}
    for place in range(group.num_columns):
        column = group.column(place)
        codec = str(column.compression).lower()
        codecs[column.path_in_schema.split(".")[0]] = "none" if codec == "uncompressed" else codec
    return codecs
