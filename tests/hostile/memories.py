"""Small sound memories to be damaged, and manifests that vouch for whatever lies there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval_index import Batch, IndexPlan, Memory, edits, make_rows
from retrieval_index.manifest import _render

#: Identity and name of the toy encoder that ``tests/rac/cli`` puts behind ``--encoder``.
ENCODER = "70" + b"toy".hex()
_ROWS = {"flat": 12, "graph": 90, "lists": 120, "codes": 120}
_DIMS = {"flat": 12, "graph": 12, "lists": 12, "codes": 9}
_KINDS = {"flat": "flat", "graph": "hnsw", "lists": "ivf", "codes": "ivfpq"}
KINDS = tuple(_ROWS)


def make_memory(folder: Path, kind: str) -> Memory:
    """Make a memory of two versions with texts, two segments and deleted rows.

    Args:
        folder: where to.
        kind: ``flat`` (whitened), or one with an index: ``graph``, ``lists``, ``codes``.
    """
    count, dim = _ROWS[kind], _DIMS[kind]
    draw = np.random.default_rng(7)
    vectors = draw.normal(size=(count + 4, dim)).astype(np.float32)
    ids = [f"row{number:03}" for number in range(count + 4)]
    labels = ["x" if number % 2 else "y" for number in range(count + 4)]
    texts = draw.normal(size=(count + 4, 3)).astype(np.float32)

    def batch(part: slice) -> Batch:
        rows = make_rows(ids[part], labels=labels[part], texts=ids[part], sources=ids[part])
        return Batch(vectors[part], rows, texts[part])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits, "SMALL_ROWS", 1)  # so that deletions are kept beside the rows
        memory = Memory.build(
            folder,
            [batch(slice(0, count))],
            encoder=ENCODER,
            encoder_name="toy",
            space="trunk",
            metric="whitened" if kind == "flat" else "cosine",
            plan=IndexPlan(kind=_KINDS[kind], latency_ms=1e6),
            force=True,
        )
        gone = [ids[1], ids[5]]
        more = batch(slice(count, count + 4))
        memory = memory.delete(gone)
        return memory.add(more.vectors, more.rows, texts=more.texts)


def snapshot(folder: Path) -> dict[str, bytes | str | None]:
    """Give what lies in a folder: the bytes of files, where links lead; None for the others."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = None
    return found


def read_json(folder: Path) -> dict[str, Any]:
    """Give what the manifest says, without its checksum."""
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    del content["sha256"]
    return content


def vouch(folder: Path, content: dict[str, Any]) -> None:
    """Write a manifest, and its copy, whose checksum is right whatever it says."""
    text = _render(content)
    sha256 = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    text = _render({**content, "sha256": sha256})
    version = json.loads((folder / "manifest.json").read_text("utf-8"))["version"]
    for path in (folder / "manifest.json", folder / f"versions/{version:06}/manifest.json"):
        path.write_bytes(text.encode("utf-8", "surrogatepass"))


def change(folder: Path, place: str, value: Any) -> None:
    """Put another value into the manifest; ``place`` is keys and numbers with dots."""
    content = read_json(folder)
    *way, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    part: Any = content
    for key in way:
        part = part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    vouch(folder, content)


def entry_of(content: dict[str, Any], role: str) -> dict[str, Any]:
    """Give what a manifest says of the file in a role; of the first segment's."""
    files: dict[str, Any] = content["files"]
    if role not in files:
        files = content["segments"][0]["files"]
    found: dict[str, Any] = files[role]
    return found


def file_of(folder: Path, role: str) -> Path:
    """Give the path of the file in a role."""
    if role == "manifest":
        return folder / "manifest.json"
    return folder / str(entry_of(read_json(folder), role)["path"])


def replace(folder: Path, role: str, make: Callable[[Path], None]) -> None:
    """Let ``make`` write over the file in a role, and let the manifest vouch for it."""
    path = file_of(folder, role)
    make(path)
    content = read_json(folder)
    data = path.read_bytes()
    entry_of(content, role).update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    vouch(folder, content)
