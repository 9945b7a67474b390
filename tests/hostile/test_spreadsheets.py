"""CSV files that a person opens in a spreadsheet: nothing in them runs, and all is read back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.csv_texts import PeoplesCsv, defuse_formula, read_csv_texts, restore_formula
from eval.predictions import Predictions, open_predictions
from eval.report import build_report, write_report
from eval.train_counts import read_train_counts
from rac import prediction
from rac.attributes.audit import Doubt, write_doubts
from rac.quarantine import Quarantined, write_quarantine
from tests.hostile.runs import fill, write_shop
from tests.hostile.table import Promise

# Harmless: a sum. What matters is the character that it starts with, and what stands before that.
RUNS = [
    start + "1+1"
    for start in (
        "=", "+", "-", "@", "\t", "\r", "\n", "\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20",
        " =", "  +", "\t=", " \t", "\n=", "\u00a0=", "\u200b=", "\ufeff=", "\u2003@", "\x00=",
        "\x0b=", "\x1f-", "\u00ad=", "\u3000\uff1d", "\u2060+", "=\"", "=,", "@\"\n\"",
    )
]  # fmt: skip
QUOTED = ["'=1", "''=1", "' =1", "'\t1", "'\uff1d1", "'''@1"]
PLAIN = [
    "red", "a=b", "b, c", "'tis", "'", "''", "", "1-1", "_=1", "7", "r\u00e9d", '"=1"', "a\n=1",
    "#=1", "\u2212" "1", "\U0001f600=1",
]  # fmt: skip
TEXTS = [*RUNS, *QUOTED, *PLAIN]
STARTS = set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def would_run(cell: str) -> bool:
    """Whether some spreadsheet may take a cell for a formula, told character by character."""
    for sign in cell:
        if sign in STARTS:
            return True
        if not (sign.isspace() or not sign.isprintable()):
            return False
    return False


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_runs_and_all_text_comes_back(text: str) -> None:
    defused = defuse_formula(text)
    assert not would_run(defused)
    assert restore_formula(defused) == text
    assert (defused == text) == (text in PLAIN)
    assert would_run(text) == (text in RUNS)


def test_numbers_of_ours_stay_numbers(tmp_path: Path) -> None:
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as handle:
        PeoplesCsv(handle).write([-0.5, -3, None, 0.25, "-0.5"])
    assert (tmp_path / "a.csv").read_text() == "-0.500000,-3,,0.250000,'-0.5\n"


def cells_of(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as handle:
        return list(csv.reader(handle))


def quarantine(folder: Path) -> Path:
    path = folder / "quarantine.csv"
    bad = [Quarantined(text, row, text, f"{text}: {text}") for row, text in enumerate(TEXTS)]
    write_quarantine(path, bad)
    return path


def doubts(folder: Path) -> Path:
    path = folder / "audit.csv"
    write_doubts(
        [Doubt(row, text, text, text, 0.5, text, 0.5, text) for row, text in enumerate(TEXTS)], path
    )
    return path


def classes(folder: Path) -> Path:
    names = [text for text in TEXTS if text]
    made = Predictions(
        name="=run",
        ids=[str(row) for row in range(len(names))],
        labels=names,
        predictions=names[::-1],
        classes=names,
        train_counts=np.arange(len(names)),
    )
    files = write_report(build_report([made], resamples=10), folder)
    assert read_train_counts(files.per_class) == {name: row for row, name in enumerate(names)}
    return files.per_class


def predictions(folder: Path) -> Path:
    """Predictions as `rac predict` writes them, read again by `rac report`."""
    import pyarrow as pa

    names = [text for text in TEXTS if text.strip()]
    block = pa.table(
        {"id": names, "label": names, "prediction": names[::-1], "confidence": [0.5] * len(names)}
    )

    class Parts:
        def blocks(self):
            return [block]

    prediction._write_csv(Parts(), folder / "found.csv")  # type: ignore[arg-type]
    read = open_predictions(folder / "found.csv").read()
    assert list(read.ids) == names
    assert list(read.label_cells) == names
    assert list(read.predictions) == names[::-1]
    return folder / "found.csv"


FILES: list[Callable[[Path], Path]] = [quarantine, doubts, classes, predictions]


@pytest.mark.parametrize("write", FILES)
def test_every_file_for_people_is_defused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    rows = cells_of(write(tmp_path))
    assert len(rows) > len(TEXTS) - 3
    assert sum("1+1" in cell for row in rows for cell in row) >= len(RUNS)
    assert not [cell for row in rows for cell in row if would_run(cell)]


def test_every_text_is_read_back_from_such_a_file(tmp_path: Path) -> None:
    read = read_csv_texts(quarantine(tmp_path), ["id", "image"])
    for name in ("id", "image"):
        assert [cell or "" for cell in read.column(name).to_pylist()] == TEXTS


def test_the_copy_of_a_persons_own_table_stays_as_it_is(tmp_path: Path) -> None:
    """Its formulas are the person's own; only missing cells differ."""
    table = write_shop(tmp_path / "shop")
    lines = table.read_text().splitlines()
    lines[0] += ",note"
    lines[1:] = [f'{line},"=1+{row}"' for row, line in enumerate(lines[1:])]
    table.write_text("\n".join(lines) + "\n")
    fill(table, tmp_path / "run")
    before, after = cells_of(table), cells_of(tmp_path / "run" / "filled.csv")
    assert [row[3] for row in after] == [row[3] for row in before]
    assert after[1][3] == "=1+0"
    assert sum(one != two for one, two in zip(before, after, strict=True)) > 5


PROMISES = [
    Promise(
        "CSV files for spreadsheets",
        "no cell of a quarantine, an audit, a prediction or a table of classes runs as a formula; "
        "our readers get the text as it was; the copy of a table stays what it was",
        "texts that start with signs of formulas, full-width forms, unseen signs before them, "
        "apostrophes, and plain text, in each of the four files",
        len(TEXTS),
    ),
]
