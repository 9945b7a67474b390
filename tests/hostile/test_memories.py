"""Memories that were damaged, or made to do harm: refused by name, and recovered from."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import retrieval_index.soundness as soundness
from retrieval_index import (
    CorruptMemory,
    FormatMismatch,
    Memory,
    MemoryFault,
    NoMemory,
    make_rows,
    verify_folder,
)
from tests.hostile.memories import (
    KINDS,
    change,
    entry_of,
    file_of,
    make_memory,
    read_json,
    replace,
    snapshot,
    vouch,
)
from tests.hostile.table import Promise

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("sound")
    for kind in KINDS:
        make_memory(home / kind, kind)
    return {kind: home / kind for kind in KINDS}


@pytest.fixture
def copy(sound: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of a sound memory, to be damaged."""

    def of(kind: str) -> Path:
        shutil.copytree(sound[kind], tmp_path / "memory")
        return tmp_path / "memory"

    return of


def refused(folder: Path, named: str, fault: type[MemoryFault] = CorruptMemory) -> str:
    """Open, which has to be refused with a name, and to change nothing; give what was said."""
    before = snapshot(folder)
    for _ in range(2):  # what was refused once is not believed the second time
        with pytest.raises(fault) as caught:
            Memory.open(folder)
        assert type(caught.value) is fault
        assert re.search(named, str(caught.value)), str(caught.value)
    assert snapshot(folder) == before
    return str(caught.value)


# -- files that are not what was written


def _flip(place: float) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 0x10
        path.write_bytes(data)

    return damage


def _cut(share: float) -> Damage:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _put(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


DAMAGES: dict[str, Damage] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut to half": _cut(0.5),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "flipped at the start": _flip(0.0),
    "flipped in the middle": _flip(0.5),
    "flipped at the end": _flip(1.0),
    "a folder": _put(Path.mkdir),
    "a pipe": _put(os.mkfifo),
    "a link to nothing": _put(lambda path: path.symlink_to(path.with_name("nothing"))),
    "a link to a folder": _put(lambda path: path.symlink_to(path.parent)),
    "a link to itself": _put(lambda path: path.symlink_to(path)),
}
ROLES = ("manifest", "vectors", "searchable", "texts", "rows", "dead", "metric", "index")
DAMAGED = [pytest.param(role, name, id=f"{role}: {name}") for role in ROLES for name in DAMAGES]


@pytest.mark.parametrize(("role", "name"), DAMAGED)
def test_a_damaged_file_is_named_before_it_is_used(
    copy: Callable[[str], Path], role: str, name: str
) -> None:
    folder = copy("graph")
    path = file_of(folder, role)
    DAMAGES[name](path)
    gone = role == "manifest" and name in ("gone", "a link to nothing")
    told = refused(folder, path.name, NoMemory if gone else CorruptMemory)
    assert gone or "rac index rollback" in told
    with pytest.raises(MemoryFault, match=path.name):
        verify_folder(folder)


# -- manifests that vouch for themselves

HUGE = 10**30
FIELDS: list[tuple[str, Any]] = [
    *[("dim", value) for value in (HUGE, 0, -1, "12", 12.0, True, None, float("nan"), [12])],
    *[("searchable_dim", value) for value in (HUGE, 0, 11)],
    *[("text_dim", value) for value in (HUGE, 0, 4)],
    *[("count", value) for value in (HUGE, -1, 5, "all")],
    *[("version", value) for value in (HUGE, -1, "3")],
    *[("previous", value) for value in (HUGE, 0, -1, 3, 4)],
    ("encoder", None),
    ("encoder", 5),
    ("metric", "nearest"),
    ("metric", "../evil"),
    ("space", {}),
    ("surprise", 1),
    ("created", ...),
    ("plan", None),
    ("plan.kind", "lsh"),
    *[("plan.recall", value) for value in (0.0, 1.5, float("nan"), HUGE)],
    *[("plan.max_memory", value) for value in (0, HUGE)],
    ("plan.latency_ms", -1.0),
    *[("index.kind", value) for value in ("flat", "ivf", "ivfpq", "lsh", None)],
    *[("index.factory", value) for value in (None, "Flat", "HNSW32,Flat", "IDMap,HNSW32,SQ8")],
    *[("index.indexed", value) for value in (HUGE, -1, 0, 5, 95)],
    *[("index.effort", value) for value in (HUGE, -1, 0, 10**9)],
    *[("index.candidates", value) for value in (HUGE, -1, 0, 10**9)],
    *[("index.measured_recall", value) for value in (2.0, -1.0, float("nan"))],
    ("index.median_ms", float("inf")),
    ("index.edited", HUGE),
    ("segments", []),
    ("segments", {}),
    ("segments.0.count", HUGE),
    ("segments.0.count", -1),
    ("segments.0.dead", 91),
    ("segments.0.dead", 1),
    ("segments.0.files.vectors", ...),
    ("segments.0.files.rows", ...),
    ("segments.0.files.dead", ...),
    ("segments.0.files.texts", ...),
    ("segments.0.files.vectors.bytes", HUGE),
    ("segments.0.files.vectors.bytes", -1),
    ("segments.0.files.vectors.sha256", "00"),
    ("segments.0.files.vectors.sha256", "G" * 64),
    ("files.metric", ...),
    ("files.index", ...),
    ("files", []),
    ("format", "other"),
    *[
        ("segments.0.files.vectors.path", value)
        for value in (
            "",
            ".",
            "/etc/hostname",
            "../vectors.npy",
            "versions/../../vectors.npy",
            "versions/000001/../000001/vectors.npy",
            "versions\\000001\\vectors.npy",
            "versions/000001/vectors\0.npy",
            "versions/000001/" + "v" * 5000 + ".npy",
            "versions/000001/.lock",
            "manifest.json",
            "file:///etc/hostname",
        )
    ],
]
_NO_KIND = "index: .* is no .* index that rac builds"
_NO_EFFORT = "index: an hnsw index has rows, an effort and candidates"
#: What is said where it is not the field alone that is wrong, but what it contradicts.
CONTRADICTIONS: dict[tuple[str, str], str] = {
    ("searchable_dim", "11"): r"searchable\.npy: holds float32 of shape \(90, 12\)",
    ("text_dim", "4"): r"texts\.npy: holds float32 of shape \(90, 3\)",
    ("count", "5"): "segments hold 92 rows, it counts 5",
    ("previous", "3"): "version 3 cannot follow version 3",
    ("previous", "4"): "version 3 cannot follow version 4",
    ("metric", "nearest"): "no metric is called 'nearest'",
    ("metric", "../evil"): "no metric is called '../evil'",
    ("index.kind", "flat"): _NO_KIND,
    ("index.kind", "ivf"): _NO_KIND,
    ("index.kind", "ivfpq"): _NO_KIND,
    ("index.factory", "None"): _NO_KIND,
    ("index.factory", "Flat"): _NO_KIND,
    ("index.factory", "HNSW32,Flat"): _NO_KIND,
    ("index.factory", "IDMap,HNSW32,SQ8"): _NO_KIND,
    ("index.indexed", "0"): _NO_EFFORT,
    ("index.effort", "0"): _NO_EFFORT,
    ("index.candidates", "0"): _NO_EFFORT,
    ("index.indexed", "5"): r"index\.faiss: indexes 90 rows of dimension 12",
    ("index.indexed", "95"): "index.indexed is 95, 94 rows lie there",
    ("segments", "[]"): "names no segment",
    ("segments.0.dead", "91"): "a segment has more deleted rows than rows",
    ("segments.0.dead", "1"): "segments hold 93 rows, it counts 92",
    ("format", "other"): "its format is not 'rac-memory'",
}


@pytest.mark.parametrize(
    ("place", "value"), FIELDS, ids=[f"{place}={str(value)[:30]!r}" for place, value in FIELDS]
)
def test_an_absurd_value_in_a_manifest_is_refused_by_name(
    copy: Callable[[str], Path], place: str, value: object
) -> None:
    folder = copy("graph")
    change(folder, place, value)
    named = rf"manifest\.json: {re.escape(place)}: "
    if value is ... and place != "created":
        named = rf"manifest\.json: names no file for '{place.split('.')[-1]}'"
    refused(folder, CONTRADICTIONS.get((place, str(value)), named))


TEXTS: dict[str, bytes] = {
    "deep": b'{"format":' * 50_000,
    "deep list": b"[" * 100_000,
    "a list": b"[1, 2]",
    "a number": b"12",
    "null": b"null",
    "wrongly encoded": b'{"format": "rac-memory \xff\xfe"}',
    "utf-16": '{"format": "rac-memory"}'.encode("utf-16"),
    "a mark before it": b"\xef\xbb\xbf" + b'{"format": "rac-memory"}',
    "a number of many digits": b'{"format": "rac-memory", "dim": ' + b"9" * 6000 + b"}",
    "a lone surrogate": b'{"format": "rac-memory", "encoder": "\\ud800"}',
    "a key twice": b'{"format": "rac-memory", "format": "rac-memory"}',
    "a bomb of spaces": b" " * ((16 << 20) + 1),
    "yaml": b"format: rac-memory\n",
    "python": b"__import__('os').abort()",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_manifest_that_is_no_such_text_is_refused(copy: Callable[[str], Path], name: str) -> None:
    folder = copy("flat")
    (folder / "manifest.json").write_bytes(TEXTS[name])
    told = refused(folder, "manifest.json: the manifest (is damaged or was edited|cannot be read)")
    assert "rac index rollback" in told


def test_a_manifest_of_another_release_says_so(copy: Callable[[str], Path]) -> None:
    folder = copy("flat")
    change(folder, "format_version", 3)
    refused(folder, "format version 3", FormatMismatch)


def test_a_manifest_that_contradicts_its_copy_is_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("flat")
    honest = (folder / "manifest.json").read_bytes()
    change(folder, "encoder", "another")
    (folder / "versions/000003/manifest.json").write_bytes(honest)
    refused(folder, "manifest.json: differs from its copy")


# -- files that a manifest vouches for


def _npy(array: np.ndarray[Any, Any]) -> Damage:
    def make(path: Path) -> None:
        with open(path, "wb") as handle:
            np.save(handle, array, allow_pickle=False)

    return make


def _header(text: str, body: bytes = b"") -> Damage:
    """A ``.npy`` with this header, whatever follows it."""

    def make(path: Path) -> None:
        line = text.encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line) & 0xFFFF) + line + body)

    return make


def _array(change_it: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Damage:
    return lambda path: _npy(change_it(np.load(path).copy()))(path)


def _with(value: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    def change_it(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        array[7, 2] = value
        return array

    return change_it


class _Marker:
    """What a pickle would run: it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(os.environ["RAC_TEST_MARKER"]),)


def _pickled(path: Path) -> None:
    with open(path, "wb") as handle:
        np.save(handle, np.array([[_Marker()]], dtype=object), allow_pickle=True)


ARRAYS: dict[str, Damage] = {
    "a NaN": _array(_with(float("nan"))),
    "an infinity": _array(_with(float("inf"))),
    "of float64": _array(lambda array: array.astype(np.float64)),
    "of integers": _array(lambda array: array.astype(np.int32)),
    "of other byte order": _array(lambda array: array.astype(">f4")),
    "fewer rows": _array(lambda array: array[:-1]),
    "fewer columns": _array(lambda array: array[:, :-1]),
    "turned around": _array(lambda array: np.asfortranarray(array)),
    "one dimension": _array(lambda array: array.ravel()),
    "of Python objects": _pickled,
    "announces a billion rows": _header(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 12), }"
    ),
    "announces more than there are numbers": _header(
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({HUGE}, {HUGE}), }}"
    ),
    "announces less than nothing": _header(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 12), }", bytes(64)
    ),
    "a header of 60,000 letters": _header("{" + " " * 60_000 + "}"),
    "a header that nests": _header("(" * 5000),
    "a header that calls": _header("__import__('os').abort()"),
    "not an array": lambda path: path.write_bytes(b"PK\x03\x04 and more"),
    "nothing": lambda path: path.write_bytes(b""),
}


def _rows(change_it: Callable[[pa.Table], pa.Table], compression: str | None = None) -> Damage:
    def make(path: Path) -> None:
        with pa.OSFile(str(path)) as source:
            table = change_it(pa.ipc.open_file(source).read_all())
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_file(str(path), table.schema, options=options) as writer:
            writer.write_table(table)

    return make


def _ids(values: list[Any], kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change_it(table: pa.Table) -> pa.Table:
        ids = pa.array(values + table.column("id").to_pylist()[len(values) :], type=kind)
        return table.set_column(0, pa.field("id", kind), ids)

    return change_it


def _bytes(find: Callable[[bytes], int], value: bytes) -> Damage:
    """Write some bytes over those that ``find`` gives the place of."""

    def make(path: Path) -> None:
        data = bytearray(path.read_bytes())
        place = find(bytes(data))
        data[place : place + len(value)] = value
        path.write_bytes(data)

    return make


ROWS: dict[str, Damage] = {
    "an id twice": _rows(_ids(["same", "deleted", "same"], pa.string())),
    "an id of another segment": _rows(_ids(["row092"], pa.string())),
    "an id that is null": _rows(_ids([None], pa.string())),
    "ids of bytes": _rows(_ids([], pa.binary())),
    "ids of large strings": _rows(_ids([], pa.large_string())),
    "fewer rows": _rows(lambda table: table.slice(1)),
    "no column of labels": _rows(lambda table: table.drop_columns(["label"])),
    "columns in another order": _rows(lambda table: table.select(table.column_names[::-1])),
    "a column twice": _rows(lambda table: table.append_column("id", table.column("id"))),
    "a column that other segments lack": _rows(
        lambda table: table.append_column("more", table.column("id"))
    ),
    "compressed": _rows(lambda table: table, "zstd"),
    "compressed otherwise": _rows(lambda table: table, "lz4"),
    "compressed, in a dictionary": _rows(
        lambda table: table.append_column("more", table.column("label").dictionary_encode()),
        "zstd",
    ),
    "ids that are no text": _bytes(lambda data: data.index(b"row000"), b"\xff\xfe\xfd"),
    "an offset beyond its end": _bytes(
        lambda data: data.index(struct.pack("<iii", 0, 6, 12)) + 4, struct.pack("<i", 1 << 30)
    ),
    "an offset below zero": _bytes(
        lambda data: data.index(struct.pack("<iii", 0, 6, 12)) + 4, struct.pack("<i", -5)
    ),
    "cut in the rows": _cut(0.4),
    "another beginning": _bytes(lambda data: 0, b"PARQUET1"),
    "a stream without its beginning": lambda path: path.write_bytes(path.read_bytes()[8:]),
    "a message that announces a terabyte": _bytes(lambda data: 12, struct.pack("<i", 1 << 30)),
    "text": lambda path: path.write_bytes(b"id,label\n1,a\n"),
    "nothing": lambda path: path.write_bytes(b""),
}
DEAD: dict[str, Damage] = {
    "not ascending": _npy(np.array([5, 1])),
    "a number twice": _npy(np.array([5, 5])),
    "below zero": _npy(np.array([-1, 5])),
    "beyond the rows": _npy(np.array([5, 90])),
    "as many more": _npy(np.array([1, 5, 7])),
    "of float": _npy(np.array([1.0, 5.0])),
    "of unsigned numbers": _npy(np.array([1, 5], dtype=np.uint64)),
    "announces a billion": _header(
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000,), }"
    ),
    "of Python objects": _pickled,
}


def _npz(kind: int = zipfile.ZIP_STORED, **arrays: np.ndarray[Any, Any] | bytes) -> Damage:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, array in arrays.items():
                data = array
                if not isinstance(data, bytes):
                    into = io.BytesIO()
                    np.save(into, data, allow_pickle=True)
                    data = into.getvalue()
                archive.writestr(f"{name}.npy", data)

    return make


_MEAN, _EYE = np.zeros(12), np.eye(12)
_VAST = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117)
    + b"\n"
)
METRICS: dict[str, Damage] = {
    "a NaN": _npz(mean=_MEAN, transform=np.full((12, 12), np.nan)),
    "an infinity": _npz(mean=np.full(12, np.inf), transform=_EYE),
    "numbers beyond reason": _npz(mean=_MEAN, transform=_EYE * 1e200),
    "singular: zeros": _npz(mean=_MEAN, transform=np.zeros((12, 12))),
    "singular: a column is missing": _npz(mean=_MEAN, transform=np.diag([1.0] * 11 + [0.0])),
    "another dimension": _npz(mean=np.zeros(11), transform=np.eye(11)),
    "not square": _npz(mean=_MEAN, transform=np.zeros((12, 5))),
    "parts that do not fit": _npz(mean=np.zeros(11), transform=_EYE),
    "of float32": _npz(mean=_MEAN.astype("f4"), transform=_EYE.astype("f4")),
    "of another fit": _npz(mean=_MEAN, transform=_EYE),
    "other names": _npz(average=_MEAN, transform=_EYE),
    "a name too many": _npz(mean=_MEAN, transform=_EYE, power=np.array(0.5)),
    "a part is missing": _npz(mean=_MEAN),
    "no parts": _npz(),
    "compressed": _npz(zipfile.ZIP_DEFLATED, mean=_MEAN, transform=_EYE),
    "compressed zeros of many megabytes": _npz(
        zipfile.ZIP_DEFLATED, mean=_MEAN, transform=_VAST + bytes(1 << 22)
    ),
    "announces a terabyte": _npz(mean=_MEAN, transform=_VAST),
    "a hundred parts": _npz(**{f"a{number}": _MEAN for number in range(100)}),
    "of Python objects": _npz(mean=_MEAN, transform=np.array([_Marker()], dtype=object)),
    "not an archive": lambda path: path.write_bytes(b"\0" * 300),
    "cut": _cut(0.7),
    "nothing": lambda path: path.write_bytes(b""),
}

VOUCHED = [
    pytest.param(kind, role, make, id=f"{role}: {name}")
    for kind, role, makes in (
        ("graph", "vectors", ARRAYS),
        ("graph", "searchable", ARRAYS),
        ("graph", "texts", ARRAYS),
        ("graph", "rows", ROWS),
        ("graph", "dead", DEAD),
        ("flat", "metric", METRICS),
    )
    for name, make in makes.items()
]


@pytest.mark.parametrize(("kind", "role", "make"), VOUCHED)
def test_a_file_that_the_manifest_vouches_for_is_not_believed(
    copy: Callable[[str], Path],
    kind: str,
    role: str,
    make: Damage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAC_TEST_MARKER", str(tmp_path / "marker"))
    folder = copy(kind)
    path = file_of(folder, role)
    replace(folder, role, make)
    refused(folder, rf"{path.name}")
    with pytest.raises(CorruptMemory, match=path.name):
        verify_folder(folder)
    assert not (tmp_path / "marker").exists()


def test_the_marker_of_these_tests_is_made_where_a_pickle_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAC_TEST_MARKER", str(tmp_path / "marker"))
    pickle.loads(pickle.dumps(_Marker()))  # noqa: S301 (it is ours)
    assert (tmp_path / "marker").exists()


def test_rows_that_the_metric_does_not_make_are_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("graph")
    replace(folder, "searchable", _array(lambda array: array[::-1]))
    refused(folder, "row 0: the searchable vector is not the metric of the vector")


# -- indexes that would lead FAISS out of its memory

HEADER = 37  # letters of the type, dimension, rows, two spare numbers, trained, metric


def _after_vector(data: bytes, place: int, width: int) -> int:
    (count,) = struct.unpack_from("<Q", data, place)
    return place + 8 + count * width


def _levels(data: bytes) -> int:
    return _after_vector(data, _after_vector(data, HEADER, 8), 4)


def _links(data: bytes) -> int:
    return _after_vector(data, _after_vector(data, _levels(data), 4), 8)


def _entry(data: bytes) -> int:
    return _after_vector(data, _links(data), 4)


def _storage(data: bytes) -> int:
    return _entry(data) + 20


def _centroids(data: bytes) -> int:
    return data.index(b"IxFI") + HEADER


def _lists(data: bytes) -> int:
    return data.index(b"ilar") if b"ilar" in data else data.index(b"ilbl")


def _at(find: Callable[[bytes], int], offset: int, layout: str, value: float) -> Damage:
    return _bytes(lambda data: find(data) + offset, struct.pack("<" + layout, value))


def _start(data: bytes) -> int:
    return 0


def _faiss(factory: str, dim: int, rows: int) -> Damage:
    """An index that FAISS made, of another kind or over other rows."""

    def make(path: Path) -> None:
        import faiss

        vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        if "IDMap" in factory:
            index.add_with_ids(vectors, np.arange(rows))
        else:
            index.add(vectors)
        faiss.write_index(index, str(path))

    return make


ANY_INDEX: dict[str, Damage] = {
    "another dimension": _at(_start, 4, "i", 1 << 20),
    "a dimension below zero": _at(_start, 4, "i", -12),
    "other rows": _at(_start, 8, "q", 1 << 40),
    "rows below zero": _at(_start, 8, "q", -1),
    "not trained": _at(_start, 32, "B", 0),
    "for other distances": _at(_start, 33, "i", 1),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "cut to half": _cut(0.5),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "nothing": lambda path: path.write_bytes(b""),
    "three letters": lambda path: path.write_bytes(b"IHN"),
    "letters that nobody knows": _bytes(_start, b"EVIL"),
    "a missing index": _bytes(_start, b"null"),
    "an index with ids of its own": _faiss("IDMap,Flat", 12, 90),
    "an exact index": _faiss("Flat", 12, 90),
}
GRAPH: dict[str, Damage] = {
    "announces a vast list of shares": _at(lambda data: HEADER, 0, "Q", 1 << 39),
    "announces more shares than bytes": _at(lambda data: HEADER, 0, "Q", (1 << 64) - 1),
    "announces a vast list of levels": _at(_levels, 0, "Q", 1 << 39),
    "announces a vast list of links": _at(_links, 0, "Q", 1 << 39),
    "a level that there is not": _at(_levels, 8, "i", 1000),
    "a level below one": _at(_levels, 8, "i", 0),
    "places that are not the levels'": _at(_links, -16, "Q", 1 << 40),
    "a link to no row": _at(_links, 8, "i", 90),
    "a link far away": _at(_links, 8, "i", (1 << 31) - 1),
    "a link below none": _at(_links, 8, "i", -2),
    "an entry that is no row": _at(_entry, 0, "i", 90),
    "an entry below zero": _at(_entry, 0, "i", -7),
    "a top level that there is not": _at(_entry, 4, "i", 30),
    "a beam of all": _at(_entry, 8, "i", (1 << 31) - 1),
    "codes of another kind": _bytes(_storage, b"IxMp"),
    "no codes": _bytes(_storage, b"null"),
    "codes of other rows": _at(_storage, 8, "q", 1 << 30),
    "codes of other length": _at(_storage, HEADER + 20, "Q", 1 << 30),
    "codes of another form": _at(_storage, HEADER, "i", 5),
    "a bound that is no number": _at(_storage, HEADER + 36, "f", float("nan")),
    "a graph of other rows": _faiss("HNSW32,SQ8", 12, 91),
    "a graph of whole vectors": _faiss("HNSW32,Flat", 12, 90),
}
LISTS: dict[str, Damage] = {
    "announces a billion lists": _at(lambda data: HEADER, 0, "Q", 1 << 30),
    "no lists": _at(lambda data: HEADER, 0, "Q", 0),
    "centroids of another kind": _bytes(lambda data: _centroids(data) - HEADER, b"IxMp"),
    "announces vast centroids": _at(_centroids, 0, "Q", 1 << 39),
    "a centroid that is no number": _at(_centroids, 8, "f", float("nan")),
    "lists of another kind": _bytes(_lists, b"ilod"),
    "lists that are left out": _bytes(_lists, b"il00"),
    "lists of other number": _at(_lists, 4, "Q", 1 << 30),
}
PACKED: dict[str, Damage] = {
    "announces a vast list of rows": _at(_lists, 36, "Q", 1 << 39),
    "a row that there is not": _at(_lists, 44, "q", 120),
    "a row far away": _at(_lists, 44, "q", 1 << 60),
    "a row below zero": _at(_lists, 44, "q", -1),
    "a row twice": _bytes(lambda data: _lists(data) + 44, bytes(8)),
    "blocks of other length": _at(_lists, 20, "Q", 1 << 20),
}
PLAIN: dict[str, Damage] = {
    "codes of other length": _at(_lists, 12, "Q", 1 << 30),
    "announces a vast list of sizes": _at(_lists, 24, "Q", 1 << 39),
    "a list that is longer than the file": _at(_lists, 32, "Q", 1 << 50),
    "sizes in no known form": _bytes(lambda data: _lists(data) + 20, b"many"),
}
INDEXES = [
    pytest.param(kind, make, id=f"{kind}: {name}")
    for kind, makes in (
        *[(kind, ANY_INDEX) for kind in ("graph", "lists", "codes")],
        ("graph", GRAPH),
        ("lists", LISTS),
        ("lists", PLAIN),
        ("codes", LISTS),
        ("codes", PACKED),
    )
    for name, make in makes.items()
]


@pytest.mark.parametrize(("kind", "make"), INDEXES)
def test_an_index_is_walked_through_before_faiss_reads_it(
    copy: Callable[[str], Path], kind: str, make: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import faiss

    def touched(*_: object) -> None:
        raise AssertionError("FAISS was let near it")

    folder = copy(kind)
    replace(folder, "index", make)
    monkeypatch.setattr(faiss, "read_index", touched)
    refused(folder, "index.faiss: ")


# -- flipped bits

FLIPS = 200


def _answers(folder: Path) -> list[np.ndarray[Any, Any] | list[str]]:
    memory = Memory.open(folder)
    draw = np.random.default_rng(3)
    queries = draw.normal(size=(5, memory.dim))
    told = draw.normal(size=(5, 3))
    found, texts = memory.search(queries, 7), memory.search_texts(told, 7)
    left = memory.leave_one_out(3)
    arrays = [part for near in (found, texts, left) for part in (near.rows, near.scores)]
    return [*arrays, memory.ids, [str(label) for label in memory.labels]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_named_or_changes_no_answer(
    copy: Callable[[str], Path], kind: str
) -> None:
    folder = copy(kind)
    expected = _answers(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    draw = np.random.default_rng(FLIPS)
    named = 0
    for number in range(FLIPS):
        # Each file by turns, so that the small ones are not left out.
        path = files[number % len(files)]
        data = path.read_bytes()
        flipped = bytearray(data)
        flipped[draw.integers(len(data))] ^= 1 << int(draw.integers(8))
        path.write_bytes(flipped)
        try:
            answers = _answers(folder)
        except CorruptMemory as refusal:
            told, answers = str(refusal), None
        if answers is None:
            assert str(path) in told
            named += 1
        else:
            # Only what no search reads may be damaged unnoticed; ``verify`` names even that.
            assert path.name == "manifest.json"
            assert path.parent != folder
            for one, other in zip(answers, expected, strict=True):
                np.testing.assert_array_equal(one, other)
            with pytest.raises(CorruptMemory, match=path.parent.name):
                verify_folder(folder)
        path.write_bytes(data)
    assert named > 0.6 * FLIPS
    verify_folder(folder)


# -- what is remembered of files


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are hashed; all count as large, and nothing is known yet."""
    real, names = soundness.hash_written, []

    def counted(path: Path) -> Any:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(soundness, "hash_written", counted)
    monkeypatch.setattr(soundness, "SMALL_BYTES", 0)
    monkeypatch.setattr(soundness, "_TICK_NS", -1)
    monkeypatch.setattr(soundness, "_known", {})
    return names


def test_an_unchanged_file_is_hashed_once_by_a_process_and_a_large_one_once_at_all(
    copy: Callable[[str], Path], hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("graph")
    Memory.open(folder)
    once = len(hashed)
    assert once == len(Memory.open(folder).manifest.all_files()) == len(hashed)
    soundness._known.clear()  # as another process would find it
    Memory.open(folder)
    assert len(hashed) == once
    monkeypatch.setattr(soundness, "SMALL_BYTES", 1 << 20)  # small ones have no stamp
    soundness._known.clear()
    Memory.open(folder)
    assert len(hashed) == 2 * once


def _forged(folder: Path) -> None:
    """Stamps that come with a folder: right in all but what no copy can have."""
    files = {}
    for entry in Memory.open(folder).manifest.all_files():
        status = (folder / entry.path).stat()
        state = {
            "bytes": entry.bytes,
            "modified_ns": status.st_mtime_ns,
            "changed_ns": status.st_ctime_ns - 1,
            "inode": status.st_ino,
        }
        files[entry.path] = {"sha256": entry.sha256, "state": state, "at_ns": 1 << 60}
    (folder / ".verified.json").unlink(missing_ok=True)
    (folder / ".verified.json").write_text(json.dumps({"files": files}))


def _stale(folder: Path) -> None:
    """Stamps of a year ago."""
    Memory.open(folder)
    stamps = json.loads((folder / ".verified.json").read_text())
    for stamp in stamps["files"].values():
        stamp["at_ns"] -= 365 * 24 * 3600 * 10**9
    (folder / ".verified.json").write_text(json.dumps(stamps))


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / ".verified.json").unlink(missing_ok=True)
        make(folder / ".verified.json")

    return damage


STAMPS: dict[str, Damage] = {
    "forged": _forged,
    "stale": _stale,
    "none": _instead(lambda path: None),
    "cut": _instead(lambda path: path.write_text('{"files": {"versions/0')),
    "of other bytes": _instead(lambda path: path.write_bytes(b"\xff\x00")),
    "deep": _instead(lambda path: path.write_bytes(b"[" * 100_000)),
    "of other types": _instead(lambda path: path.write_text('{"files": {"a": 1}}')),
    "too long": _instead(lambda path: path.write_bytes(b" " * (5 << 20))),
    "a pipe": _instead(os.mkfifo),
    "a link to nothing": _instead(lambda path: path.symlink_to("nothing")),
}


@pytest.mark.parametrize("name", STAMPS)
def test_stamps_that_cannot_be_trusted_are_not(
    copy: Callable[[str], Path], hashed: list[str], name: str
) -> None:
    folder = copy("flat")
    path = file_of(folder, "vectors")
    STAMPS[name](folder)
    _flip(0.9)(path)
    soundness._known.clear()
    hashed.clear()
    with pytest.raises(CorruptMemory, match=r"vectors\.npy: its bytes do not match"):
        Memory.open(folder)
    assert "vectors.npy" in hashed


def test_a_change_is_seen_whatever_was_remembered(
    copy: Callable[[str], Path], hashed: list[str]
) -> None:
    folder = copy("flat")
    Memory.open(folder)
    assert (folder / ".verified.json").exists()
    path = file_of(folder, "vectors")
    status = path.stat()
    _flip(0.9)(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the old time, as tools restore it
    for forget in (soundness._known.clear, lambda: None):
        forget()
        refused(folder, "vectors.npy: its bytes do not match")


def test_stamps_never_go_through_a_link(
    copy: Callable[[str], Path], hashed: list[str], tmp_path: Path
) -> None:
    folder = copy("flat")
    (tmp_path / "theirs").write_text("mine")
    (folder / ".verified.json").symlink_to(tmp_path / "theirs")
    Memory.open(folder)
    assert (tmp_path / "theirs").read_text() == "mine"
    assert not (folder / ".verified.json").is_symlink()


def test_a_folder_that_cannot_be_written_to_opens_without_stamps(
    copy: Callable[[str], Path], hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    folder = copy("flat")
    monkeypatch.setattr(soundness, "replace_file", read_only)
    before = snapshot(folder)
    assert len(Memory.open(folder)) == 14
    assert snapshot(folder) == before


# -- what a writer may touch


def _delete_one(folder: Path) -> Memory:
    return Memory.open(folder).delete(["row000"])


STRANGERS: dict[str, Callable[[Path, Path], object]] = {
    "a link to a folder, numbered": lambda home, other: (home / "000009").symlink_to(other),
    "a link to a folder, named": lambda home, other: (home / "more").symlink_to(other),
    "a link to a file": lambda home, other: (home / "a.npy").symlink_to(other / "theirs.npy"),
    "a file": lambda home, other: (home / "notes.txt").write_text("mine"),
    "a folder": lambda home, other: shutil.copytree(other, home / "copy"),
    "a folder of other digits": lambda home, other: shutil.copytree(other, home / "³"),
    "a file among ours": lambda home, other: (home / "000002/notes.txt").write_text("mine"),
    "a folder among ours": lambda home, other: shutil.copytree(other, home / "000002/copy"),
    "a folder with the name of ours": lambda home, other: shutil.copytree(
        other, home / "000002/rows.arrow-"
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_writer_leaves_what_is_not_its_own_and_names_it(
    copy: Callable[[str], Path], name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copy("flat")
    other = tmp_path / "other"
    other.mkdir()
    (other / "vectors.npy").write_text("theirs")
    (other / "manifest.json").write_text("theirs")
    before = snapshot(folder)
    STRANGERS[name](folder / "versions", other)
    added = {path: held for path, held in snapshot(folder).items() if path not in before}
    theirs = snapshot(other)
    _delete_one(_delete_two(folder))
    assert snapshot(other) == theirs
    after = snapshot(folder)
    assert {path: after.get(path) for path in added} == added
    top = min(added, key=len)
    assert any(
        f"{folder / top}: is no file of a memory" in record.getMessage()
        for record in caplog.records
    )
    verify_folder(folder)


def _delete_two(folder: Path) -> Path:
    memory = Memory.open(folder).delete(["row002", "row003"])
    assert memory.folder is not None
    return memory.folder


OUR_LINKS = ("versions/000009/vectors.npy", "versions/000009/.rows.arrow.0123.part")


@pytest.mark.parametrize("name", OUR_LINKS)
def test_a_link_with_the_name_of_ours_goes_itself_not_what_it_leads_to(
    copy: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    folder = copy("flat")
    theirs = tmp_path / "theirs"
    theirs.write_text("mine")
    (folder / name).parent.mkdir()
    (folder / name).symlink_to(theirs)
    _delete_one(folder)
    assert theirs.read_text() == "mine"
    assert not (folder / name).is_symlink()


def test_a_manifest_that_is_a_link_is_replaced_not_followed(
    copy: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copy("flat")
    theirs = tmp_path / "theirs.json"
    shutil.move(folder / "manifest.json", theirs)
    (folder / "manifest.json").symlink_to(theirs)
    before = theirs.read_bytes()
    assert "row000" not in _delete_one(folder).ids
    assert theirs.read_bytes() == before
    assert not (folder / "manifest.json").is_symlink()


@pytest.mark.parametrize("what", ["a link", "a file"])
def test_versions_that_are_no_folder_of_ours_are_not_written_to(
    copy: Callable[[str], Path], what: str, tmp_path: Path
) -> None:
    folder = copy("flat")
    memory = Memory.open(folder)
    shutil.move(folder / "versions", tmp_path / "theirs")
    if what == "a link":
        (folder / "versions").symlink_to(tmp_path / "theirs")
    else:
        (folder / "versions").write_text("")
    before, theirs = snapshot(folder), snapshot(tmp_path / "theirs")
    with pytest.raises(MemoryFault, match="versions: is a link or a file"):
        memory.delete(["row000"])
    assert (snapshot(folder), snapshot(tmp_path / "theirs")) == (before, theirs)


def test_a_failed_build_over_a_lost_manifest_leaves_the_versions(
    copy: Callable[[str], Path],
) -> None:
    """Guards a loss: the versions went with what the failed build had written."""
    folder = copy("flat")
    (folder / "manifest.json").unlink()
    before = snapshot(folder)
    with pytest.raises(MemoryFault, match="ids must be unique"):
        Memory.create(folder, np.eye(2), pa.table({"id": ["a", "a"]}), encoder="e")
    assert snapshot(folder) == before
    assert len(Memory.gone_back(folder)[0]) == 14


# -- going back


def _both(damage: Damage) -> Damage:
    def of(folder: Path) -> None:
        damage(folder / "manifest.json")
        damage(folder / "versions/000003/manifest.json")

    return of


def _main(damage: Damage) -> Damage:
    return lambda folder: damage(folder / "manifest.json")


def _newest(name: str, damage: Damage) -> Damage:
    return lambda folder: damage(folder / "versions/000003" / name)


def _manifest_and_vectors(folder: Path) -> None:
    _main(_flip(0.5))(folder)
    _newest("vectors-1.npy", _flip(0.9))(folder)


#: What is damaged, and the version that is brought back.
RECOVERED: dict[str, tuple[Damage, int]] = {
    "the manifest is flipped": (_main(_flip(0.5)), 3),
    "the manifest is gone": (_main(DAMAGES["gone"]), 3),
    "the manifest is empty": (_main(DAMAGES["empty"]), 3),
    "the manifest is a pipe": (_main(DAMAGES["a pipe"]), 3),
    "the manifest is a link to nothing": (_main(DAMAGES["a link to nothing"]), 3),
    "both manifests are flipped": (_both(_flip(0.5)), 2),
    "both manifests are gone": (_both(DAMAGES["gone"]), 2),
    "vectors are flipped": (_newest("vectors-1.npy", _flip(0.9)), 2),
    "vectors are cut": (_newest("vectors-1.npy", _cut(0.5)), 2),
    "rows are gone": (_newest("rows-1.arrow", DAMAGES["gone"]), 2),
    "texts are zeros": (_newest("texts-1.npy", DAMAGES["zeros"]), 2),
    "searchable is a folder": (_newest("searchable-1.npy", DAMAGES["a folder"]), 2),
    "the manifest and the vectors": (_manifest_and_vectors, 2),
}


@pytest.mark.parametrize("name", RECOVERED)
def test_a_damaged_memory_goes_back_to_what_is_sound(
    copy: Callable[[str], Path], name: str, sound: dict[str, Path]
) -> None:
    damage, version = RECOVERED[name]
    folder = copy("graph")
    damage(folder)
    with pytest.raises(MemoryFault):
        Memory.open(folder)
    memory, like = Memory.gone_back(folder)
    assert like == version
    assert len(memory) == {2: 88, 3: 92}[version]
    if version == 3:
        np.testing.assert_array_equal(
            memory.vectors, np.asarray(Memory.open(sound["graph"]).vectors)
        )
    assert Memory.open(folder).ids == memory.ids
    assert "row000" not in _delete_one(folder).ids, "and it can be written to"


LOST: dict[str, Damage] = {
    "every version": lambda folder: shutil.rmtree(folder / "versions"),
    "what both versions share": lambda folder: _flip(0.5)(file_of(folder, "vectors")),
}


@pytest.mark.parametrize("name", LOST)
def test_where_nothing_sound_is_left_that_is_said(copy: Callable[[str], Path], name: str) -> None:
    folder = copy("graph")
    LOST[name](folder)
    manifest = (folder / "manifest.json").read_bytes()
    with pytest.raises(MemoryFault, match=r"no earlier version is kept|vectors\.npy: its"):
        Memory.gone_back(folder)
    assert (folder / "manifest.json").read_bytes() == manifest


def test_no_memory_is_no_memory_to_go_back_in_either(tmp_path: Path) -> None:
    with pytest.raises(NoMemory):
        Memory.gone_back(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


# -- neighbours without number

ABSURD_K = (0, -1, -HUGE, HUGE, 1 << 63, (1 << 20) + 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", ABSURD_K)
def test_an_absurd_k_is_refused(sound: dict[str, Path], kind: str, k: int) -> None:
    memory = Memory.open(sound[kind])
    with pytest.raises(MemoryFault, match=f"k is {k};"):
        memory.search(memory.vectors[:1], k)
    with pytest.raises(MemoryFault, match=f"k is {k};"):
        memory.leave_one_out(k)


def test_more_neighbours_than_rows_are_filled_up(sound: dict[str, Path]) -> None:
    memory = Memory.open(sound["graph"])
    found = memory.search(memory.vectors[:1], 100_000)
    assert sorted(found.rows[0, :92]) == list(range(92))
    assert (found.rows[0, 92:] == -1).all()


# -- the commands

COMMANDS: dict[str, tuple[str, ...]] = {
    "info": ("info", "DIR"),
    "verify": ("verify", "DIR"),
    "verify --recall": ("verify", "DIR", "--recall"),
    "search": ("search", "DIR", "--text", "red", "--in", "texts"),
    "delete": ("delete", "DIR", "row000"),
    "compact": ("compact", "DIR"),
    "duplicates": ("duplicates", "DIR", "--delete"),
    "harmful": ("harmful", "DIR"),
    "try": ("try", "DIR", "--delete", "row000"),
    "export": ("export", "DIR", "-o", "OUT"),
    "add": ("add", "DIR", "TABLE"),
    "upsert": ("upsert", "DIR", "TABLE"),
    "migrate": ("migrate", "DIR", "--encoder", "toy"),
}
COMMAND_DAMAGES: dict[str, tuple[Damage, str]] = {
    "vectors flipped": (lambda folder: _flip(0.7)(file_of(folder, "vectors")), "vectors.npy"),
    "rows gone": (lambda folder: file_of(folder, "rows").unlink(), "rows.arrow"),
    "index vouched for": (
        lambda folder: replace(folder, "index", GRAPH["a link far away"]),
        "index.faiss",
    ),
    "manifest cut": (_main(_cut(0.5)), "manifest.json"),
    "manifest deep": (
        lambda folder: (folder / "manifest.json").write_bytes(TEXTS["deep"]) and None,
        "manifest.json",
    ),
    "absurd effort": (lambda folder: change(folder, "index.effort", HUGE), "index.effort"),
}


@pytest.fixture
def rac(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run ``rac index`` as it is started; give its exit code and what it said of errors."""
    import sys

    import rac.encoders
    from rac.cli.app import main
    from tests.toy import ToyEncoder

    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))

    def load(name: str = "toy", **_: object) -> ToyEncoder:
        toy = ToyEncoder(identity="70" + name.encode().hex())
        toy.name = name
        return toy

    monkeypatch.setattr(rac.encoders, "load_encoder", load)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["rac", "index", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", COMMAND_DAMAGES)
def test_a_command_names_the_damage_and_changes_nothing(
    copy: Callable[[str], Path],
    command: str,
    name: str,
    rac: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    damage, named = COMMAND_DAMAGES[name]
    folder = copy("graph")
    damage(folder)
    before = snapshot(folder)
    table = tmp_path / "items.csv"
    table.write_text("id,image\nnew,no.png\n")
    paths = {"DIR": folder, "OUT": tmp_path / "out", "TABLE": table}
    code, told = rac(*[paths.get(word, word) for word in COMMANDS[command]])
    assert code == 2, told
    assert str(folder) in told
    assert named in told
    assert "Traceback" not in told
    assert snapshot(folder) == before
    assert not (tmp_path / "out").exists()


def test_the_commands_run_on_a_sound_memory(
    copy: Callable[[str], Path], rac: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Shows that the damage is what the commands above end for."""
    folder = copy("graph")
    for command in ("info", "verify --recall", "harmful", "try", "export", "delete", "compact"):
        paths = {"DIR": folder, "OUT": tmp_path / "out"}
        code, told = rac(*[paths.get(word, word) for word in COMMANDS[command]])
        assert code == 0, (command, told)


def test_rollback_recovers_from_the_command_line(
    copy: Callable[[str], Path], rac: Callable[..., tuple[int, str]]
) -> None:
    folder = copy("graph")
    _newest("vectors-1.npy", _flip(0.9))(folder)
    code, told = rac("info", folder)
    assert code == 2
    assert f"to go back to version 2: rac index rollback {folder}" in told
    assert rac("rollback", folder)[0] == 0
    assert rac("info", folder)[0] == 0
    assert len(Memory.open(folder)) == 88


# -- older memories


def test_a_file_may_be_a_link_to_a_sound_one(
    copy: Callable[[str], Path], tmp_path: Path, sound: dict[str, Path]
) -> None:
    """As where large files are kept on another disk."""
    folder = copy("flat")
    path = file_of(folder, "vectors")
    shutil.move(path, tmp_path / "elsewhere.npy")
    path.symlink_to(tmp_path / "elsewhere.npy")
    np.testing.assert_array_equal(
        np.asarray(Memory.open(folder).vectors), np.asarray(Memory.open(sound["flat"]).vectors)
    )


def test_a_damaged_copy_of_the_manifest_stops_nothing_and_is_named_by_verify(
    copy: Callable[[str], Path],
) -> None:
    folder = copy("flat")
    _flip(0.5)(folder / "versions/000003/manifest.json")
    assert len(Memory.open(folder)) == 14
    with pytest.raises(CorruptMemory, match=r"versions/000003/manifest\.json"):
        verify_folder(folder)


def test_what_is_vouched_for_and_unchanged_opens(copy: Callable[[str], Path]) -> None:
    """Shows that it is the damage, not the vouching, which the tests above are refused for."""
    for kind in KINDS:
        folder = copy(kind)
        content = read_json(folder)
        assert entry_of(content, "vectors")["bytes"] > 0
        vouch(folder, content)
        replace(folder, "vectors", lambda path: None)
        assert len(Memory.open(folder)) > 0
        shutil.rmtree(folder)


def test_new_rows_that_are_hostile_change_nothing(copy: Callable[[str], Path]) -> None:
    folder = copy("graph")
    memory, before = Memory.open(folder), snapshot(folder)
    rows = make_rows(["new"])
    for vectors in (np.full((1, 12), np.nan), np.zeros((1, 5)), np.zeros((1, 12), dtype=object)):
        with pytest.raises(MemoryFault):
            memory.add(vectors, rows)
    assert snapshot(folder) == before


PROMISES = [
    Promise(
        "files of a memory",
        "a damaged file is named before it is used, and nothing is changed",
        "each file gone, cut, longer, overwritten, flipped, a folder, a pipe or a link",
        len(DAMAGED),
    ),
    Promise(
        "manifest of a memory",
        "refused by name",
        "absurd numbers, other types, paths that lead elsewhere, no JSON, deep or huge JSON",
        len(FIELDS) + len(TEXTS),
    ),
    Promise(
        "memory from elsewhere",
        "refused by name though its manifest vouches for it; nothing runs, nothing is reserved "
        "that a header announces",
        "NaN, other shapes, pickles, announced sizes, compressed and cut tables, repeated ids, "
        "metrics that fit nothing",
        len(VOUCHED),
    ),
    Promise(
        "index of a memory",
        "refused by name before FAISS reads it",
        "links and rows out of range, announced sizes, other kinds, cut and longer files",
        len(INDEXES),
    ),
    Promise(
        "flipped bits in a memory",
        "each is named, or changes no answer of any search",
        f"{FLIPS} random bits over all files of a memory, for each kind of index",
        FLIPS * len(KINDS),
    ),
    Promise(
        "memory that was verified before",
        "what is remembered of a file counts only while the file is the same",
        "forged, stale, damaged and foreign stamps",
        len(STAMPS),
    ),
    Promise(
        "folder of a memory",
        "a writer touches only its own files, and names the others",
        "links, folders and files of others among the versions",
        len(STRANGERS) + len(OUR_LINKS),
    ),
    Promise(
        "recovery of a memory",
        "`rac index rollback` brings the newest sound version back, or says that there is none",
        "damaged manifests and files of the current version",
        len(RECOVERED) + len(LOST),
    ),
    Promise(
        "rac index on a damaged memory",
        "exit code 2, the file is named, nothing is changed",
        "each command on each of some damages",
        len(COMMANDS) * len(COMMAND_DAMAGES),
    ),
    Promise(
        "number of neighbours",
        "refused before anything is reserved for it",
        "k of zero, below zero, and up to 10^30",
        len(ABSURD_K) * len(KINDS),
    ),
]
