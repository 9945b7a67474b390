from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.toy import ToyEncoder, write_toy_images

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def encoder() -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture
def write_catalogue() -> Callable[..., Path]:
    """Writes a folder with toy images and ``items.csv``: id, image, colour, note."""

    def write(
        folder: Path,
        rows: int = 160,
        missing: Callable[[int], bool] = lambda row: row % 5 in (0, 3),
        empty: Sequence[str] = ("",),
    ) -> Path:
        colours = [COLOURS[row % len(COLOURS)] for row in range(rows)]
        names = write_toy_images(folder, colours)
        table = folder / "items.csv"
        with open(table, "w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(["id", "image", "colour", "note"])
            for row, (name, colour) in enumerate(zip(names, colours, strict=True)):
                cell = empty[row % len(empty)] if missing(row) else colour
                writer.writerow([f"sku-{row}", name, cell, f'=1+{row}, "<b>\n{row}</b>"'])
        return table

    return write
