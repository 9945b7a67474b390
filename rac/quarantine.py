"""Images that could not be read, set aside in a table of their own."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

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
    """Write ``id``, ``row``, ``image``, ``reason`` and ``detail`` as CSV, whole or not at all."""
    with replace_file(path) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["id", "row", "image", "reason", "detail"])
        for one in bad:
            reason, _, detail = one.fault.partition(": ")
            writer.writerow([one.id, one.row, one.image or "", reason, detail])
