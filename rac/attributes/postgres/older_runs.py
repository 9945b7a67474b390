"""What runs of versions before the journal have written, read out of their folders to undo it.

They kept ``applied.jsonl``, which names the rows that each batch of the ledger changed, and
``standing.parquet`` with the fills of earlier runs while a later one was at work.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rac.attributes.postgres.journal import Entry
from rac.attributes.postgres.note import LOG, NOTE, STANDING
from rac.attributes.postgres.statements import cell_batches
from rac.attributes.run_folder import RunFolder, read_json
from rac.attributes.undo import schema_of
from rac.errors import InputError


def older_fills(folder: RunFolder, run: Mapping[str, Any]) -> Iterator[list[Entry]]:
    """Give the cells that an older run may have written, those of one column at a time.

    Where the log knows of a batch only that it was begun, any of its cells may have been.

    Raises:
        InputError: a file that tells what was written is gone or damaged.
    """
    for column, cells in _standing(folder.path / STANDING).items():
        yield [Entry(column, key, *cell, cell[1], 0) for key, cell in cells.items()]
    written = _Log(folder, run)
    for batch in cell_batches(folder.whole_ledger(), schema_of(dict(run))):
        mine = written.keys(batch.name)
        found = [
            Entry(batch.column, key, before, value, value, 0)
            for key, before, value in zip(batch.keys, batch.before, batch.values, strict=True)
            if mine is None or key in mine
        ]
        if found:
            yield found


class _Log:
    def __init__(self, folder: RunFolder, run: Mapping[str, Any]) -> None:
        path = folder.path / LOG
        if not path.exists():
            raise InputError(
                f"{path} is gone, which says what the run has written into "
                f"{run['options']['postgres']}. Put it back from a backup; where the run was taken "
                "back already, there is nothing left to be done"
            )
        self._begun: set[str] = set()
        self._done: dict[str, list[str]] = {}
        data = path.read_bytes()
        # A line that was cut off by a kill is not one.
        for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
            try:
                entry = json.loads(line)
                self._begun.add(entry["batch"])
                if "keys" in entry:
                    self._done[entry["batch"]] = entry["keys"]
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: it is damaged ({error!r})") from error
        self._whole = bool(read_json(folder.path / NOTE).get("finished"))
        self._path = path

    def keys(self, name: str) -> set[str] | None:
        """Give the rows of a batch's part and column that were changed; None for any of them."""
        stretch = name.rpartition("/")[0]
        begun = {one for one in self._begun if one.rpartition("/")[0] == stretch}
        if self._whole and not begun:
            raise InputError(
                f"{self._path} says nothing of batch {name!r}, which the run has written; it lost "
                "lines. Put it back from a backup"
            )
        if begun - set(self._done):
            return None
        return {key for one in begun for key in self._done[one]}


def _standing(path: Path) -> dict[str, dict[str, tuple[str | None, str]]]:
    found: dict[str, dict[str, tuple[str | None, str]]] = {}
    if path.exists():
        try:
            lines = pq.ParquetFile(path).read(["column", "key", "before", "value"]).to_pylist()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is damaged ({error}), which says what an earlier run has written; put it "
                "back from a backup"
            ) from error
        for line in lines:
            cell = (line["before"], line["value"])
            found.setdefault(line["column"], {})[line["key"]] = cell
    return found
