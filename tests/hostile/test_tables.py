"""Tables and schemas that are damaged or written to harm: read as far as they hold, or refused."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.attributes.schema import load_schema
from rac.errors import InputError
from rac.tables import open_table
from tests.hostile.table import Promise

DEEP = 100_000


@dataclass(frozen=True)
class Case:
    """A file of a table and what must come of it.

    Attributes:
        name: of the file.
        data: its bytes.
        said: what the refusal says; "" where the rows are read.
        rows: how many, where it is read.
    """

    name: str
    data: bytes
    said: str = ""
    rows: int = 0


def parquet(**metadata: str) -> bytes:
    table = pa.table({"id": ["a", "b"], "image": ["a.png", "b.png"], "kind": ["x", "y"]})
    buffer = io.BytesIO()
    noted = {key: value.encode() for key, value in metadata.items()}
    pq.write_table(table.replace_schema_metadata(noted), buffer)
    return buffer.getvalue()


WHOLE = parquet()
CSV = {
    "nul": Case("t.csv", b"id,image\na,a.png\nb,\0b.png\n", "line 3: a NUL byte"),
    "utf-16 without a mark": Case("t.csv", "id,image\na,a.png\n".encode("utf-16-le"), "NUL byte"),
    "broken utf-8": Case("t.csv", "id,image\n\u00fc,a.png\n".encode() + b"\xff,b\n", "line 3"),
    "ragged": Case("t.csv", b"id,image\na,a.png\nb\n", "line 3: 1 cells"),
    "a quote that never closes": Case("t.csv", b'id,image\na,"a.png\nb,b.png\n', "line"),
    "empty": Case("t.csv", b"", "the file is empty"),
    "blank lines only": Case("t.csv", b"\n\n\n", "the file is empty"),
    "only a mark": Case("t.csv", b"\xef\xbb\xbf", "the file is empty"),
    "header only": Case("t.csv", b"id,image\n"),
    "one name twice": Case("t.csv", b"id,image,image\na,b,c\n", "image"),
    "a column without a name": Case("t.csv", b"id,,image\na,b,c\n", rows=1),
    "a PNG called csv": Case("t.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "NUL byte"),
    "formulas are cells": Case("t.csv", b"id,image\n=1+1,a.png\n@x,b.png\n", rows=2),
    "old Mac line ends": Case("t.csv", b"id,image\ra,a.png\rb,b.png\r", rows=2),
    "100,000 columns": Case("t.csv", b"image," + b",".join(b"c%d" % n for n in range(10**5)), ""),
    "a cell of 5 MB": Case("t.csv", b"id,image\na," + b"x" * 5_000_000 + b"\n", rows=1),
}
JSON_LINES = {
    "deep list": Case("t.jsonl", b'{"image": ' + b"[" * DEEP + b"]" * DEEP + b"}", "line 1"),
    "deep objects": Case("t.jsonl", b'{"a":' * DEEP, "line 1"),
    "latin-1": Case("t.jsonl", b'{"image": "\xe9.png"}\n', "line 1"),
    "utf-16": Case("t.jsonl", '{"image": "a.png"}\n'.encode("utf-16"), "line 1"),
    "cut": Case("t.jsonl", b'{"image": "a.png"}\n{"image": "b', "line 2"),
    "a list of objects": Case("t.jsonl", b'[{"image": "a.png"}]', "not a JSON object"),
    "a number": Case("t.jsonl", b"1\n", "not a JSON object"),
    "a key twice": Case("t.jsonl", b'{"image": "a.png", "image": "b.png"}', "occurs twice"),
    "nothing": Case("t.jsonl", b"\n\n", "the file is empty"),
    "an integer of 5,000 digits": Case(
        "t.jsonl", b'{"image": "a", "n": ' + b"9" * 5_000 + b"}", "line 1"
    ),
    "not-a-number": Case("t.jsonl", b'{"image": "a.png", "n": NaN}', rows=1),
    "a large number": Case("t.jsonl", b'{"image": "a.png", "n": 99999999999999999999}', rows=1),
    "lone surrogate": Case("t.jsonl", b'{"image": "a.png", "n": "\\ud800"}', rows=1),
    "NUL in a text": Case("t.jsonl", b'{"image": "a\\u0000.png"}', rows=1),
}
PARQUET = {
    **{
        f"cut at {share} %": Case(
            "t.parquet", WHOLE[: len(WHOLE) * share // 100], "not a readable Parquet file"
        )
        for share in (0, 1, 10, 25, 50, 75, 90, 99)
    },
    "garbage": Case("t.parquet", bytes(range(256)) * 8, "not a readable Parquet file"),
    "zeros": Case("t.parquet", bytes(4096), "not a readable Parquet file"),
    "a text": Case("t.parquet", b"id,image\na,a.png\n", "not a readable Parquet file"),
    "a footer of another length": Case(
        "t.parquet", WHOLE[:-8] + b"\xff\xff\xff\x7f" + WHOLE[-4:], "not a readable Parquet file"
    ),
    "a footer of no length": Case(
        "t.parquet", WHOLE[:-8] + bytes(4) + WHOLE[-4:], "not a readable Parquet file"
    ),
    "column types nested too deeply": Case("t.parquet", parquet(huggingface="[" * DEEP), rows=2),
    "column types that are none": Case("t.parquet", parquet(huggingface="null"), rows=2),
}
CASES = {
    f"{kind} {name}": case
    for kind, cases in (("csv", CSV), ("jsonl", JSON_LINES), ("parquet", PARQUET))
    for name, case in cases.items()
}

SCHEMAS: dict[str, tuple[bytes, str]] = {
    "a tag that calls a function": (
        b"!!python/object/apply:os.mkdir [ran]",
        "more than plain values",
    ),
    "a tag inside": (b"attributes: {colour: !!python/name:os.system }", "more than plain values"),
    "a tag of one's own": (b"attributes: !mine {}", "more than plain values"),
    "deep": (b"[" * 5_000, "too deep"),
    "aliases that unfold": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10))
            for n in range(8)
        ),
        "aliases written out",
    ),
    "an alias to itself": (b"attributes: &a {colour: *a}", "recursive"),
    "a key twice": (b"attributes: {colour: {}, colour: {}}", "stands twice"),
    "a key that is a list": (b"attributes: {[a]: {}}", "a key must be a word"),
    "utf-16": ("attributes: {colour: {}}".encode("utf-16"), "cannot be read"),
    "latin-1": (b"attributes: {\xe9: {}}", "cannot be read"),
    "control characters": (b"attributes: {\x00: {}}", "is not YAML"),
    "two documents": (b"attributes: {}\n---\nattributes: {}", "single document"),
    "empty": (b"", "expected the keys"),
    "a list": (b"- a", "expected the keys"),
    "another version": (b"version: 99\nattributes: {colour: {}}", "version"),
    "unknown key": (b"attributes: {colour: {run: x}}", "there is no such key"),
    "precision above one": (b"attributes: {colour: {target_precision: 7}}", "target_precision"),
    "precision not a number": (b"attributes: {colour: {target_precision: .nan}}", "target_prec"),
}

DATASETS: dict[str, tuple[Callable[[Path], None], str]] = {}


def dataset(name: str, said: str) -> Callable[[Callable[[Path], None]], None]:
    def keep(damage: Callable[[Path], None]) -> None:
        DATASETS[name] = (damage, said)

    return keep


def _state(folder: Path, **changed: object) -> None:
    path = folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@dataset("a file above the folder", "does not lie in this folder")
def _(folder: Path) -> None:
    _state(folder, _data_files=[{"filename": "../elsewhere.arrow"}])


@dataset("a file by its absolute path", "does not lie in this folder")
def _(folder: Path) -> None:
    _state(folder, _data_files=[{"filename": str(folder.parent / "elsewhere.arrow")}])


@dataset("a file that is not there", "not a readable data set folder")
def _(folder: Path) -> None:
    _state(folder, _data_files=[{"filename": "none.arrow"}])


@dataset("no list of files", "not what `datasets` writes")
def _(folder: Path) -> None:
    (folder / "state.json").write_text("{}")


@dataset("a description nested too deeply", "not what `datasets` writes")
def _(folder: Path) -> None:
    (folder / "state.json").write_text("[" * DEEP)


@dataset("a description in another encoding", "not what `datasets` writes")
def _(folder: Path) -> None:
    (folder / "state.json").write_bytes("{}".encode("utf-16"))


@dataset("column types of no known kind", "not a readable data set folder")
def _(folder: Path) -> None:
    (folder / "dataset_info.json").write_text('{"features": {"id": {"_type": "os.system"}}}')


@dataset("rows cut short", "not a readable data set folder")
def _(folder: Path) -> None:
    path = next(folder.glob("*.arrow"))
    path.write_bytes(path.read_bytes()[:64])


@dataset("rows that are garbage", "not a readable data set folder")
def _(folder: Path) -> None:
    next(folder.glob("*.arrow")).write_bytes(bytes(range(256)))


@dataset("a split that leads out", "leads out of the folder")
def _(folder: Path) -> None:
    (folder / "dataset_dict.json").write_text('{"splits": ["../elsewhere"]}')


PROMISES = [
    Promise(
        "Tables",
        "Every row is read, or the table is refused with its path and, in text files, its line; "
        "nothing beside the folder of a data set is opened",
        "NUL bytes, other encodings, ragged and endless quotes, cells of megabytes, nesting "
        "100,000 deep, cut and zeroed Parquet, data set folders that point elsewhere",
        len(CASES) + len(DATASETS),
    ),
    Promise(
        "Schemas",
        "Plain data or a refusal that names the file; no tag runs anything, no alias unfolds "
        "without bound",
        "tags, deep nesting, aliases, other encodings, unknown keys and values out of range",
        len(SCHEMAS),
    ),
]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_table_is_read_whole_or_refused(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name
    path.write_bytes(case.data)

    def read() -> int:
        table = open_table(path)
        return sum(len(table.items(batch)) for batch in table.batches())

    if case.said:
        with pytest.raises(InputError) as refused:
            read()
        assert str(path) in str(refused.value)
        assert case.said in str(refused.value)
    else:
        assert read() == case.rows


@pytest.mark.parametrize("damage", DATASETS.values(), ids=list(DATASETS))
def test_a_data_set_folder_is_refused(
    damage: tuple[Callable[[Path], None], str], tmp_path: Path
) -> None:
    """Also that a file outside, which could be read, is not."""
    from datasets import Dataset

    for name in ("saved", "other"):
        Dataset.from_dict({"id": ["a"], "image": ["a.png"]}).save_to_disk(str(tmp_path / name))
    next((tmp_path / "other").glob("*.arrow")).rename(tmp_path / "elsewhere.arrow")
    spoil, said = damage
    spoil(tmp_path / "saved")
    with pytest.raises(InputError, match="saved") as refused:
        open_table(tmp_path / "saved")
    assert said in str(refused.value)


@pytest.mark.parametrize(("text", "said"), SCHEMAS.values(), ids=list(SCHEMAS))
def test_a_schema_is_refused(
    text: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "schema.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError) as refused:
        load_schema(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["schema.yaml"]


def test_a_pipe_is_no_schema(tmp_path: Path) -> None:
    """Guards against a fill that waited for somebody to write, without a word."""
    os.mkfifo(tmp_path / "schema.yaml")
    with pytest.raises(InputError, match="is no file"):
        load_schema(tmp_path / "schema.yaml")
