"""Tables as no one would wish them: every outcome is right, or an error that names the place."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from rac.attributes.fill import fill_table
from rac.attributes.ledger import Decision, read_ledger
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import Schema, parse_schema
from rac.attributes.summary import FillSummary
from rac.attributes.undo import undo_fill
from rac.errors import InputError, JobFailed
from rac.tables import open_table
from tests.reference.csv_fields import written_fields
from tests.toy import ToyEncoder, write_toy_images

COLOURS = ("red", "green", "blue", "yellow")
LISTED = "attributes: {colour: {values: [red, green, blue, yellow], target_precision: 0.6}}"
OWN_VALUES = "attributes: {colour: {target_precision: 0.6}}"
TWO = """
attributes:
  colour: {target_precision: 0.6, multiple: yes}
  shade: {values: [dark, light], applies_when: {colour: [red, blue]}, not_applicable: none}
"""
datasets.disable_progress_bars()


@dataclass(frozen=True)
class Wild:
    """A table to be written, and how."""

    rows: list[dict[str, Any]]
    columns: list[str]
    kind: str
    delimiter: str
    quoting: int
    line_end: str
    schema: str

    def write(self, folder: Path) -> Path:
        if self.kind == "csv":
            return self._write_csv(folder / "items.csv")
        if self.kind == "jsonl":
            path = folder / "items.jsonl"
            lines = (json.dumps(row, separators=(",", ":")) for row in self.rows)
            path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
            return path
        fields = [(name, pa.string()) for name in self.columns]
        texts = [
            {name: None if cell is None else str(cell) for name, cell in row.items()}
            for row in self.rows
        ]
        table = pa.Table.from_pylist(texts, schema=pa.schema(fields, metadata={"by": "hand"}))
        if self.kind == "parquet":
            pq.write_table(table, folder / "items.parquet")
            return folder / "items.parquet"
        datasets.Dataset(table).save_to_disk(str(folder / "items"))
        return folder / "items"

    def _write_csv(self, path: Path) -> Path:
        stream = io.StringIO()
        writer = csv.writer(
            stream, delimiter=self.delimiter, quoting=self.quoting, lineterminator=self.line_end
        )
        writer.writerow(self.columns)
        writer.writerows([row[name] for name in self.columns] for row in self.rows)
        path.write_bytes(stream.getvalue().encode())
        return path


odd_texts = st.sampled_from(
    ["=1+1", "@SUM(A1)", "+4", "-", "n/a", 'say "red"', "two\nlines", "a;b,c\td", " red ", "RED",
     "teal", "0", "1.50", "größe €", "red, blue", "not applicable", "None given", "\t", "'", '"']
)  # fmt: skip
free_texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\0\x1c\x1d\x1e\x85\u2028\u2029"),
    max_size=6,
)
mixed = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.booleans(), st.just(1.5))
known = st.sampled_from(COLOURS)


@st.composite
def wild_tables(draw: st.DrawFn) -> Wild:
    count = draw(st.sampled_from([0, 1, 2, 120, 120]))
    kind = draw(st.sampled_from(["csv", "csv", "jsonl", "parquet", "dataset"]))
    columns = [name for name in ("id", "image", "colour") if draw(st.integers(0, 9))]
    columns += [f"column {number}" for number in range(draw(st.sampled_from([0, 1, 3, 300])))]
    columns = draw(st.permutations(columns)) if len(columns) < 10 else columns
    cell = st.one_of(known, known, known, st.none(), st.just(""), odd_texts, free_texts)
    if kind == "jsonl" and draw(st.booleans()):
        cell = st.one_of(cell, mixed)
    wild = draw(st.lists(cell, min_size=5, max_size=30))
    plain = draw(st.sampled_from([1, 3, 9, 9]))
    rows = []
    for number in range(count):
        row: dict[str, Any] = {name: wild[(number + place) % len(wild)]
                               for place, name in enumerate(columns)}  # fmt: skip
        if "id" in row:
            row["id"] = f"sku {number % 50}"
        if "image" in row:
            row["image"] = f"{number % 24:04d}-{COLOURS[number % 4]}.png" if number % 11 else "gone"
        if "colour" in row and number % plain:
            row["colour"] = COLOURS[number % 4] if number % 3 else None
        rows.append(row)
    return Wild(
        rows=rows,
        columns=columns,
        kind=kind,
        delimiter=draw(st.sampled_from([",", ";", "\t"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        line_end=draw(st.sampled_from(["\n", "\r\n"])),
        schema=draw(st.sampled_from([LISTED, OWN_VALUES, TWO])),
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_toy_images(folder, [COLOURS[number % 4] for number in range(24)])
    return folder


def fill(table: Path, schema: str | Schema, out: Path) -> FillSummary:
    read = parse_schema(schema) if isinstance(schema, str) else schema
    return fill_table(open_table(table), read, ToyEncoder(), out, progress=False)


@settings(max_examples=60, deadline=None)
@given(wild=wild_tables())
def test_any_table_is_filled_rightly_or_refused_by_name(shop: Path, wild: Wild) -> None:
    with tempfile.TemporaryDirectory(dir=shop.parent) as name:
        folder = Path(name)
        for image in shop.iterdir():
            (folder / image.name).symlink_to(image)
        path = wild.write(folder)
        try:
            fill(path, wild.schema, folder / "run")
        except (InputError, JobFailed) as error:
            said = str(error)
            event("refused")
            assert str(path) in said or any(repr(column) in said for column in wild.columns), said
            assert not list((folder / "run").glob("filled*"))
            return
        assert "image" in wild.columns
        filled = folder / "run" / f"filled{path.suffix}"
        check_cells(wild, path, filled, folder / "run")
        with RunFolder.locked(folder / "run") as run:
            restored = Path(undo_fill(run).file)
        if path.is_file() and wild.kind != "parquet":
            assert restored.read_bytes() == path.read_bytes()
        else:
            assert read_table(restored).equals(read_table(path))


def check_cells(wild: Wild, path: Path, filled: Path, run: Path) -> None:
    """Every cell is what it was, to the byte, unless the ledger says that it was filled; and those
    said nothing before."""
    ledger, _ = read_ledger(run / "ledger.parquet")
    schema = parse_schema(wild.schema)
    written: dict[tuple[int, str], str] = {}
    for line in ledger.to_pylist():
        attribute = schema.attributes[line["attribute"]]
        fills = line["decision"] == Decision.FILLED or (
            line["decision"] == Decision.NOT_APPLICABLE and attribute.not_applicable is not None
        )
        if fills:
            assert attribute.means_missing(line["before"])
            written[line["row"], attribute.column] = line["value"]
    event("cells filled" if written else "nothing filled")
    before, after = as_written(path, wild), as_written(filled, wild)
    assert len(before) == len(after)
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        assert list(new)[: len(old)] == list(old)
        for column in new:
            if (row, column) in written:
                text = read_as_text(new[column], wild)
                assert text == written[row, column]
            else:
                assert new[column] == old.get(column, new[column])
                if column not in old:
                    assert read_as_text(new[column], wild) in ("", None)


def as_written(path: Path, wild: Wild) -> list[dict[str, Any]]:
    """Give each row's cells as they stand in the file."""
    if wild.kind == "csv":
        data = path.read_bytes().decode()
        header, *records = written_fields(data, find_delimiter(path))
        names = [read_as_text(name, wild) for name in header]
        return [dict(zip(names, record, strict=True)) for record in records]
    if wild.kind == "jsonl":
        pairs: Any = json.loads
        return [
            dict(pairs(line, parse_float=lambda text: ("float", text), object_pairs_hook=list))
            for line in path.read_text("utf-8").splitlines()
        ]
    return read_table(path).to_pylist()


def find_delimiter(path: Path) -> str:
    table: Any = open_table(path)
    return str(table.dialect.delimiter)


def read_as_text(cell: Any, wild: Wild) -> Any:
    if wild.kind == "csv" and cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell


def read_table(path: Path) -> pa.Table:
    if path.is_dir():
        return datasets.load_from_disk(str(path)).with_format("arrow")[:]
    return pq.read_table(path)


def test_ten_thousand_values_are_enough_and_one_more_is_named(shop: Path) -> None:
    rows = [
        {"id": number, "image": f"{number % 24:04d}-{COLOURS[number % 4]}.png",
         "colour": f"value {number % 10_000}" if number < 10_000 else None}
        for number in range(10_040)
    ]  # fmt: skip
    path = shop / "many.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = fill(path, OWN_VALUES, shop / "many")
    assert summary.attributes["colour"].values == 10_000
    assert summary.attributes["colour"].filled == 0
    assert (shop / "many" / "filled.jsonl").read_bytes() == path.read_bytes()
    rows[-1]["colour"] = "one more"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"'colour'.*more than 10,000 different values"):
        fill(path, OWN_VALUES, shop / "many")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,colour\n1,red\n", "which column is the image"),
        ("id,image,colour,colour\n1,a.png,red,blue\n", "more than one column is called 'colour'"),
        ("id,image,colour\n1,a.png\n", "line 2"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        fill(path, LISTED, tmp_path / "run")
    assert not list((tmp_path / "run").glob("filled*"))
