"""Images that could not be read, set aside in a table of their own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from eval.csv_texts import PeoplesCsv
from retrieval_index.files import replace_file


class Quarantined(NamedTuple):
    """An image that could not be read.

    Attributes:
        id: of the item.
        row: its number in the table, from 0.
        image: its reference, None where the cell held bytes or nothing.
        fault: ``<reason>: <detail>``, a word for the kind of fault and a sentence.
    """

    id: str
    row: int
    image: str | None
    fault: str


def write_quarantine(path: Path, bad: Iterable[Quarantined]) -> None:
    """Write ``id``, ``row``, ``image``, ``reason`` and ``detail`` as CSV, whole or not at all.

    Text that a spreadsheet would run is defused, see :mod:`eval.csv_texts`.
    """
    with replace_file(path) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = PeoplesCsv(handle)
        writer.write(["id", "row", "image", "reason", "detail"])
        for one in bad:
            reason, _, detail = one.fault.partition(": ")
            writer.write([one.id, one.row, one.image, reason, detail])
