"""CSV files in the shapes that shops export them in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rac.errors import InputError
from rac.tables import open_table, write_like
from rac.tables.csv_table import CsvTable


def written(folder: Path, data: bytes | str, name: str = "shop.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def rows(path: Path, size: int = 1024) -> list[dict[str, str]]:
    return [row for batch in open_table(path).batches(size) for row in batch.to_pylist()]


def test_cells_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, "id,price,size\n007,1.50,\n8,NA,1e5\n")
    assert rows(path) == [
        {"id": "007", "price": "1.50", "size": ""},
        {"id": "8", "price": "NA", "size": "1e5"},
    ]


SAMPLES = {
    "excel-german": b'\xef\xbb\xbfid;name;preis\r\n1;\xc3\x84pfel;1,50\r\n2;"a;b";2\r\n',
    "tabs": b"id\tname\n1\ta, b\n2\tc\n",
    "pipes, no last line end": b"id|name\n1|a\n2|b",
    "quoted new lines": b'id,name\n1,"two\nlines"\n2,"a ""quote"""\n',
    "all quoted": b'"id","name"\r\n"1","a"\r\n"2",""\r\n',
    "utf-16": b"\xff\xfe" + "id,name\n1,äöü\n".encode("utf-16-le"),
    "windows-1252": "id,name\r\n1,Äpfel für 3 €\r\n".encode("cp1252"),
    "one column": b"name\na\nb\n",
    "one column with an empty cell": b'name\na\n""\n',
    "header only": b"id,name\n",
    "old mac": b"id,name\r1,a\r2,b\r",
    "some quoted": b'id,"name","note"\n1,"a",b\n"2",c,"d"\n3,"e ""f""",\n',
    "blank lines": b"\nid,name\n\n\n1,a\n\n2,b\n\n\n",
    "two kinds of line ends": b"id,name\r\n1,a\n2,b\r\n",
    "spaces": b"id, name\n1, a \n 2,  b\n",
    "formulas": b"id,name\n1,=1+1\n2,@x\n3,-5\n",
}


@pytest.mark.parametrize("data", SAMPLES.values(), ids=SAMPLES)
def test_a_table_written_again_is_the_same_bytes(tmp_path: Path, data: bytes) -> None:
    table = open_table(written(tmp_path, data))
    path = write_like(table, tmp_path / "out", "filled", table.batches(1))
    assert path.read_bytes() == data
    assert path.name == "filled.csv"


def test_what_did_not_change_stays_as_it_was_written(tmp_path: Path) -> None:
    """A new cell is quoted where the old one was, or where it has to be; the rest is the shop's."""
    data = b'id,"name",note\r\n"1","",a\n\n2,,"b"\n3,"x ""y""",'
    table = open_table(written(tmp_path, data))
    batch = table.with_cells(next(table.batches()), "name", {0: "red", 1: "red, blue"})
    batch = table.with_cells(batch, "size", {0: "S", 2: "L"})
    path = write_like(table, tmp_path / "out", "filled", [batch])
    assert path.read_bytes() == (
        b'id,"name",note,size\r\n"1","red",a,S\n\n2,"red, blue","b",\n3,"x ""y""",,L'
    )
    again = open_table(path)
    batch = again.with_cells(next(again.batches()), "name", {0: "", 1: ""}).select([0, 1, 2])
    back = write_like(again, tmp_path / "out", "back", [batch], without=["size"])
    assert back.read_bytes() == data.replace(b"2,,", b'2,"",')


def test_rows_that_the_original_lacks_follow_its_dialect(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, b"id;name\r\n1;a"))
    batch = next(table.batches())
    path = write_like(table, tmp_path / "out", "filled", [batch, batch, batch])
    assert path.read_bytes() == b"id;name\r\n1;a\r\n1;a\r\n1;a"


def test_what_is_read(tmp_path: Path) -> None:
    assert rows(written(tmp_path, SAMPLES["excel-german"]))[0] == {
        "id": "1", "name": "Äpfel", "preis": "1,50",
    }  # fmt: skip
    assert rows(written(tmp_path, SAMPLES["windows-1252"]))[0]["name"] == "Äpfel für 3 €"
    assert rows(written(tmp_path, SAMPLES["utf-16"]))[0]["name"] == "äöü"
    assert rows(written(tmp_path, SAMPLES["quoted new lines"]))[0]["name"] == "two\nlines"


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=12)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=st.lists(st.tuples(cells, cells, cells), max_size=8))
def test_any_cells_survive(tmp_path: Path, table: list[tuple[str, str, str]]) -> None:
    import csv
    import io

    stream = io.StringIO()
    csv.writer(stream).writerows([("id", "image", "what"), *table])
    path = written(tmp_path, stream.getvalue())
    first = open_table(path)
    out = write_like(first, tmp_path / "out", "x", first.batches(3))
    assert [tuple(row.values()) for row in rows(out)] == table


def test_a_ragged_row_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'id,name\n1,"two\nlines"\n2,b,c\n')
    with pytest.raises(InputError, match=r"shop\.csv, line 4: 3 cells, but the header has 2"):
        rows(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"id,name,id\n1,2,3\n", "'id'"),
        (b'id,name\n1,"never closed\n', "line 2"),
        (b"id,name\n1,a\0b\n", "line 2: a NUL byte"),
        (b"id,name\n1,\xc3\xa4\n2,\xff\n", "line 3: bytes that are not UTF-8"),
    ],
)
def test_files_that_cannot_be_right(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(written(tmp_path, data))


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    assert len(rows(written(tmp_path, "id,name\n\n1,a\n\n\n2,b\n\n"))) == 2


def test_a_cell_of_a_megabyte(tmp_path: Path) -> None:
    """The csv module refuses cells above 131,072 characters unless told otherwise."""
    path = written(tmp_path, f"id,name\n1,{'x' * 1_000_000}\n")
    assert len(rows(path)[0]["name"]) == 1_000_000


def test_batch_size_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "image\n" + "".join(f"{n}.png\n" for n in range(10)))
    table = open_table(path)
    seen = [
        [item for batch in table.batches(size) for item in table.items(batch)]
        for size in (1, 3, 10, 99)
    ]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert [item.id for item in seen[0]] == [str(n) for n in range(10)]


def test_the_delimiter_is_the_one_that_fits_most_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "id;text\n1;a, b, c\n2;d, e\n3;f\n")
    table = open_table(path)
    assert isinstance(table, CsvTable)
    assert table.dialect.delimiter == ";"
    assert table.columns == ("id", "text")


def test_a_new_value_that_the_encoding_lacks_is_said(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, SAMPLES["windows-1252"]))
    batch = next(table.batches())
    with pytest.raises(InputError, match="cp1252"):
        write_like(table, tmp_path / "out", "x", [table.with_cells(batch, "name", {0: "→ 漢"})])
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    import tracemalloc

    peaks = []
    for count in (2_000, 20_000):
        path = written(tmp_path, "id,text\n" + f"1,{'x' * 200}\n" * count, f"{count}.csv")
        table = open_table(path)
        tracemalloc.start()
        assert sum(batch.num_rows for batch in table.batches(256)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
