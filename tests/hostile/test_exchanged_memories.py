"""Plain files of other programs: read where they can be, refused by name where not."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrieval_index import (
    Memory,
    MemoryFault,
    export_memory,
    make_rows,
    plain_batches,
    read_exported,
)
from tests.hostile.table import Promise

ROWS, DIM = 300, 8


class _Marker:
    """What a pickle would run: it makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(os.environ["RAC_TEST_MARKER"]),)


def _vectors() -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).normal(size=(ROWS, DIM)).astype(np.float32)


def _npy(array: np.ndarray[Any, Any]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(_npy_bytes(array))


def _npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    import io

    into = io.BytesIO()
    np.save(into, array, allow_pickle=True)
    return into.getvalue()


def _announced(shape: tuple[int, ...], body: bytes = b"") -> Callable[[Path], object]:
    line = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + body
    return lambda path: path.write_bytes(data)


def _changed(place: int, value: bytes) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place : place + len(value) or None] = value
        path.write_bytes(data)

    return change


def _cut(share: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


def _with(value: float) -> np.ndarray[Any, Any]:
    array = _vectors()
    array[7, 2] = value
    return array


def _parquet(table: pa.Table) -> Callable[[Path], object]:
    return lambda path: pq.write_table(table, path)


_IDS = [str(number) for number in range(ROWS)]
#: By the file that is damaged: how, and what is said besides its name.
EXPORTED: dict[str, dict[str, Callable[[Path], object]]] = {
    "vectors.npy": {
        "a NaN": _npy(_with(float("nan"))),
        "an infinity": _npy(_with(float("-inf"))),
        "of integers": _npy(_vectors().astype(int)),
        "of texts": _npy(np.array([["a", "b"]])),
        "of Python objects": _npy(np.array([[_Marker()]], dtype=object)),
        "a pickle": lambda path: path.write_bytes(pickle.dumps(_Marker())),
        "fewer rows": _npy(_vectors()[1:]),
        "one dimension": _npy(_vectors().ravel()),
        "no columns": _npy(_vectors()[:, :0]),
        "announces a terabyte": _announced((10**12, DIM)),
        "announces more than there are numbers": _announced((10**30, 10**30)),
        "announces less than it holds": _announced((ROWS - 1, DIM), _vectors().tobytes()),
        "cut": _cut(0.5),
        "empty": lambda path: path.write_bytes(b""),
        "a folder": _instead(Path.mkdir),
        "a pipe": _instead(os.mkfifo),
        "gone": lambda path: path.unlink(),
    },
    "rows.parquet": {
        "not Parquet": lambda path: path.write_bytes(b"id,label\n"),
        "cut": _cut(0.5),
        "empty": lambda path: path.write_bytes(b""),
        "another end": _changed(-4, b"EVIL"),
        "damaged pages": _changed(4, b"\xff" * 200),
        "fewer rows": _parquet(pa.table({"id": _IDS[1:]})),
        "a pipe": _instead(os.mkfifo),
        "a folder": _instead(Path.mkdir),
        "gone": lambda path: path.unlink(),
    },
    "metric.npz": {
        "not an archive": lambda path: path.write_bytes(b"PK\x03\x04"),
        "cut": _cut(0.5),
        "empty": lambda path: path.write_bytes(b""),
        "a pipe": _instead(os.mkfifo),
        "gone": lambda path: path.unlink(),
    },
    "memory.json": {
        "deep": lambda path: path.write_bytes(b"[" * 100_000),
        "deep objects": lambda path: path.write_bytes(b'{"encoder":' * 50_000),
        "wrongly encoded": lambda path: path.write_bytes(b'{"encoder": "\xff"}'),
        "utf-16": lambda path: path.write_bytes('{"encoder": "e"}'.encode("utf-16")),
        "a list": lambda path: path.write_bytes(b"[]"),
        "empty": lambda path: path.write_bytes(b""),
        "another key": lambda path: path.write_bytes(
            b'{"encoder": "e", "space": "s", "metric": "cosine", "run": "touch"}'
        ),
        "too long": lambda path: path.write_bytes(b" " * ((1 << 20) + 1)),
    },
}
CASES = [
    pytest.param(name, change, id=f"{name}: {what}")
    for name, changes in EXPORTED.items()
    for what, change in changes.items()
]


@pytest.mark.parametrize(("name", "change"), CASES)
def test_a_damaged_export_is_refused_by_name_and_makes_no_memory(
    tmp_path: Path,
    name: str,
    change: Callable[[Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAC_TEST_MARKER", str(tmp_path / "marker"))
    memory = Memory.in_ram(_vectors(), make_rows(_IDS), encoder="e", metric="whitened")
    export_memory(memory, tmp_path / "plain")
    change(tmp_path / "plain" / name)
    with pytest.raises(MemoryFault, match=re.escape(name)):
        _import(tmp_path / "plain", tmp_path / "memory")
    assert not (tmp_path / "memory" / "manifest.json").exists()
    assert not (tmp_path / "marker").exists()


def _import(source: Path, out: Path) -> None:
    facts, metric, batches = read_exported(source)
    Memory.build(out, batches, encoder=facts.encoder, metric=metric)


def _metric(name: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(f'{{"encoder": "e", "space": "s", "metric": "{name}"}}')


@pytest.mark.parametrize("name", ["nearest", "../metric", "", "cosine\\u0000"])
def test_a_metric_that_there_is_not_is_refused(tmp_path: Path, name: str) -> None:
    export_memory(Memory.in_ram(np.eye(3), make_rows(list("abc")), encoder="e"), tmp_path / "p")
    _metric(name)(tmp_path / "p" / "memory.json")
    with pytest.raises(MemoryFault, match="no metric is called"):
        read_exported(tmp_path / "p")


# -- raw FAISS indexes


def _index(factory: str, *, step: int | None = None) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        import faiss

        vectors = _vectors()
        index = faiss.index_factory(DIM, factory)
        index.train(vectors)
        if step is None:
            index.add(vectors)
        else:
            index.add_with_ids(vectors, step * np.arange(ROWS))
        faiss.write_index(index, str(path))

    return make


def _then(make: Callable[[Path], object], change: Callable[[Path], object]) -> Callable[..., None]:
    def both(path: Path) -> None:
        make(path)
        change(path)

    return both


GIVEN_BACK = (
    *("Flat", "SQ8", "SQfp16", "PQ4x4", "IVF4,Flat", "IVF4,SQ8", "HNSW8", "HNSW8,SQ8"),
    *("PCA4,Flat", "OPQ4,IVF4,PQ4x4"),
)
REFUSED: dict[str, Callable[[Path], object]] = {
    "ids of its own": _index("IDMap,Flat", step=1),
    "ids of its own, both ways": _index("IDMap2,Flat", step=7),
    "ids of its own, behind a transform": _index("L2norm,IDMap,Flat", step=1),
    "lists with other numbers": _index("IVF4,Flat", step=2),
    "packed lists": _index("IVF4,PQ4x4fs"),
    "packed lists behind zeros": _index("Pad12,IVF4,PQ6x4fs"),
    "hashes": _index("LSH"),
    "another graph": _index("NSG8"),
    "two in one": _index("PQ4x4,RFlat"),
    "residuals": _index("RQ2x4"),
    "text": lambda path: path.write_bytes(b"not an index"),
    "three letters": lambda path: path.write_bytes(b"IxF"),
    "empty": lambda path: path.write_bytes(b""),
    "no index": lambda path: path.write_bytes(b"null"),
    "letters and nothing": lambda path: path.write_bytes(b"IxFI"),
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "gone": lambda path: None,
    "cut to half": _then(_index("Flat"), _cut(0.5)),
    "cut by a byte": _then(_index("Flat"), lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "lists cut to half": _then(_index("IVF4,Flat"), _cut(0.5)),
    "announces vast vectors": _then(_index("Flat"), _changed(37, struct.pack("<Q", 1 << 37))),
    "announces vast rows": _then(_index("Flat"), _changed(8, struct.pack("<q", 1 << 40))),
    "rows below zero": _then(_index("Flat"), _changed(8, struct.pack("<q", -5))),
    "a dimension below zero": _then(_index("Flat"), _changed(4, struct.pack("<i", -8))),
    "another dimension": _then(_index("Flat"), _changed(4, struct.pack("<i", 1 << 30))),
    "announces a billion lists": _then(
        _index("IVF4,Flat"), _changed(37, struct.pack("<Q", 1 << 30))
    ),
    "announces a vast graph": _then(_index("HNSW8"), _changed(37, struct.pack("<Q", 1 << 37))),
}


@pytest.mark.parametrize("factory", GIVEN_BACK)
def test_an_index_that_gives_its_vectors_back_is_read(tmp_path: Path, factory: str) -> None:
    _index(factory)(tmp_path / "index")
    pq.write_table(make_rows(_IDS), tmp_path / "rows.parquet")
    [batch] = plain_batches(tmp_path / "rows.parquet", index=tmp_path / "index")
    exact = factory in ("Flat", "IVF4,Flat", "HNSW8")
    np.testing.assert_allclose(batch.vectors, _vectors(), atol=1e-6 if exact else 5)


@pytest.mark.parametrize("name", REFUSED)
def test_an_index_that_does_not_is_refused_by_name(tmp_path: Path, name: str) -> None:
    REFUSED[name](tmp_path / "their.index")
    pq.write_table(make_rows(_IDS), tmp_path / "rows.parquet")
    with pytest.raises(MemoryFault, match=r"their\.index"):
        list(plain_batches(tmp_path / "rows.parquet", index=tmp_path / "their.index"))


def test_bounds_on_what_faiss_reserves_are_put_back(tmp_path: Path) -> None:
    import faiss

    bounds: Any = faiss
    before = bounds.get_deserialization_vector_byte_limit()
    for name in ("announces vast vectors", "announces a billion lists"):
        test_an_index_that_does_not_is_refused_by_name(tmp_path, name)
    assert bounds.get_deserialization_vector_byte_limit() == before
    assert bounds.get_deserialization_loop_limit() == 0


def test_vectors_column_by_column_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.asfortranarray(_vectors()))
    pq.write_table(make_rows(_IDS), tmp_path / "rows.parquet")
    [batch] = plain_batches(tmp_path / "rows.parquet", vectors=tmp_path / "v.npy")
    np.testing.assert_array_equal(np.asarray(batch.vectors), _vectors())


PROMISES = [
    Promise(
        "rac index import",
        "refused by name, and no memory is made; nothing runs, nothing is reserved that a header "
        "announces",
        "damaged exports: NaN, pickles, announced sizes, cut files, pipes, deep JSON",
        len(CASES),
    ),
    Promise(
        "FAISS index from elsewhere",
        "its vectors are given back, or it is refused by name",
        "kinds that cannot give vectors back, announced sizes, cut files",
        len(REFUSED) + len(GIVEN_BACK),
    ),
]
