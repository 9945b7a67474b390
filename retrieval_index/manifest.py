"""The manifest: which files make up one version of a memory, and what they mean."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from retrieval_index.errors import CorruptMemory, FormatMismatch, NoMemory
from retrieval_index.files import read_bounded

FORMAT: Final = "rac-memory"
FORMAT_VERSION: Final = 2
MANIFEST = "manifest.json"

#: A manifest of thousands of segments takes a megabyte.
_MOST_BYTES: Final = 16 << 20

_FILE: Final = re.compile(r"versions/[0-9]{6,12}/[a-z][a-z0-9-]{0,60}\.[a-z]{1,10}")

# What no memory comes near, and what arithmetic with it stays exact below.
Count = Annotated[int, Field(ge=0, le=1 << 40)]
Number = Annotated[int, Field(ge=0, le=10**12)]
Dim = Annotated[int, Field(ge=1, le=1 << 20)]
Effort = Annotated[int, Field(ge=0, le=1 << 16)]


class _Part(BaseModel):
    # Strict: "6", 6.0 and true are not numbers of rows.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileEntry(_Part):
    """One file of a version.

    Attributes:
        path: where it lies, relative to the memory's folder: ``versions/NUMBER/NAME``. A version
            may name a file that an earlier version wrote.
        bytes: its length.
        sha256: of its bytes, in hexadecimal.
    """

    path: str
    bytes: int = Field(ge=0, le=1 << 60)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if not _FILE.fullmatch(path):
            raise ValueError(
                f"{path!r} is not versions/NUMBER/NAME, and leads out of the memory's folder"
            )
        return path


class IndexPlan(_Part):
    """What is asked of the index; it is kept, so that ``compact`` asks for the same again.

    Attributes:
        kind: ``auto`` chooses by rows, memory, recall and latency; the others are those of
            ``IndexRecipe``.
        max_memory: bytes of RAM that the index may take; null for no bound. The vectors that
            candidates are scored with are read from the memory's files, through the page cache,
            and are not counted.
        recall: smallest share of the true ten nearest rows that a search may find, in (0, 1].
        latency_ms: largest median time of a single query, in milliseconds.
    """

    kind: Literal["auto", "flat", "hnsw", "ivf", "ivfpq"] = "auto"
    max_memory: int | None = Field(default=None, ge=1, le=1 << 60)
    recall: float = Field(default=0.95, gt=0.0, le=1.0)
    latency_ms: float = Field(default=20.0, gt=0.0)


class IndexRecipe(_Part):
    """How the searchable vectors are indexed.

    Attributes:
        kind: ``flat``: every query is compared with every row. ``hnsw``: a graph over vectors of
            one byte a dimension. ``ivf``: lists around centroids, one byte a dimension.
            ``ivfpq``: lists around centroids, half a byte for two dimensions or more.
        factory: FAISS's name for it; null for ``flat``.
        indexed: rows that are in the index, from the first; those after it are searched exactly.
        effort: lists visited (``ivf``, ``ivfpq``) or length of the beam (``hnsw``).
        candidates: rows that the index proposes for ten neighbours, to be scored exactly.
        measured_recall: recall@10 against the exact search on held-out queries; null where the
            index is exact, and there is nothing to measure.
        median_ms: median time of a single query when it was built, in milliseconds.
        edited: rows added or deleted since the recall was measured.
    """

    kind: Literal["flat", "hnsw", "ivf", "ivfpq"] = "flat"
    factory: str | None = None
    indexed: Count = 0
    effort: Effort = 0
    candidates: Effort = 0
    measured_recall: float | None = Field(default=None, ge=0.0, le=1.0)
    median_ms: float | None = Field(default=None, ge=0.0, allow_inf_nan=False)
    edited: Count = 0

    @model_validator(mode="after")
    def _of_its_kind(self) -> IndexRecipe:
        form = _FACTORIES[self.kind]
        named = self.factory is not None
        if named != (form is not None) or (form and not re.fullmatch(form, self.factory or "")):
            raise ValueError(f"{self.factory!r} is no {self.kind} index that rac builds")
        if form is None:
            if self.indexed or self.effort or self.candidates:
                raise ValueError("a flat index holds no rows and has no effort")
        elif not (self.indexed and self.effort and self.candidates):
            raise ValueError(f"an {self.kind} index has rows, an effort and candidates")
        return self


#: What ``planning`` calls an index of each kind.
_FACTORIES: Final = {
    "flat": None,
    "hnsw": r"HNSW[0-9]{1,3},SQ8",
    "ivf": r"IVF[0-9]{1,7},SQ8",
    "ivfpq": r"(Pad[0-9]{1,7},)?IVF[0-9]{1,7},PQ[0-9]{1,7}x4fs",
}


class SegmentEntry(_Part):
    """Rows that were written together.

    Attributes:
        count: rows in its files, the deleted ones included.
        dead: how many of them are deleted.
        files: by role: ``vectors``, ``searchable``, ``rows``; ``texts`` where the memory has text
            vectors; ``dead``, the numbers of the deleted rows, where there are any.
    """

    count: Count
    dead: Count = 0
    files: dict[str, FileEntry]


class Manifest(_Part):
    """What one version of a memory is made of.

    Attributes:
        format: always ``rac-memory``.
        format_version: the layout's number; a release reads its own.
        version: counts the published versions of this memory from 1; 0 for one that is only in
            RAM.
        previous: the version kept for going back, or null.
        created: when this version was made, ISO 8601, UTC.
        encoder: identity of the encoder that made the vectors; opaque here.
        encoder_name: what that encoder is called on the command line, where known.
        space: which of the encoder's outputs the vectors are.
        dim: D, of the vectors as they came.
        metric: name of the metric.
        searchable_dim: D', of the vectors after the metric.
        text_dim: E, of the text vectors; null where there are none.
        images_from: the folder that relative image references start from, where known.
        count: N, the number of rows that are not deleted.
        plan: what was asked of the index.
        index: how the rows are indexed.
        segments: the rows, in the order in which they were written.
        files: the other files by role: ``metric``; ``index`` where it is not flat.
    """

    format: Literal["rac-memory"] = FORMAT
    format_version: Literal[2] = FORMAT_VERSION
    version: Number = 0
    previous: Annotated[Number, Field(ge=1)] | None = None
    created: str
    encoder: str
    encoder_name: str | None = None
    space: str
    dim: Dim
    metric: str
    searchable_dim: Dim
    text_dim: Dim | None = None
    images_from: str | None = None
    count: Count
    plan: IndexPlan = IndexPlan()
    index: IndexRecipe = IndexRecipe()
    segments: tuple[SegmentEntry, ...] = Field(default=(), strict=False)
    files: dict[str, FileEntry] = Field(default_factory=dict)

    def all_files(self) -> list[FileEntry]:
        """Give the entries of every file of this version."""
        parts = [entry for segment in self.segments for entry in segment.files.values()]
        return [*parts, *self.files.values()]


def manifest_text(manifest: Manifest) -> str:
    """Give the text of a manifest file, which carries the SHA-256 of itself without that line.

    The text is the same for equal manifests, so any changed byte is noticed by ``parse_manifest``.
    """
    content = manifest.model_dump(mode="json")
    return _render({**content, "sha256": _checksum(content)})


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest file.

    Raises:
        NoMemory: there is no such file.
        FormatMismatch: another release wrote it.
        CorruptMemory: it is damaged, was edited, or cannot be read.
    """
    try:
        data = read_bounded(path, _MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise NoMemory(
            f"{path.parent}: there is no memory here (no {path.name}); "
            f"make one with: rac index build TABLE -o {path.parent}"
        ) from None
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise CorruptMemory(f"{path}: the manifest cannot be read ({reason})") from fault
    return parse_manifest(data, where=str(path))


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Check the bytes of a manifest file; ``where`` is how errors call it.

    Raises:
        FormatMismatch: another release wrote it.
        CorruptMemory: it is damaged, or was edited.
    """
    damaged = f"{where}: the manifest is damaged or was edited"
    try:
        text = data.decode("utf-8")
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise CorruptMemory(f"{damaged} ({fault})") from fault
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CorruptMemory(f"{damaged}: its format is not {FORMAT!r}")
    stored = content.pop("sha256", None)
    if stored != _checksum(content) or _render({**content, "sha256": stored}) != text:
        raise CorruptMemory(f"{damaged}: it does not match its own SHA-256")
    if content.get("format_version") != FORMAT_VERSION:
        raise FormatMismatch(
            f"{where}: the memory has format version {content.get('format_version')}, this "
            f"release reads {FORMAT_VERSION}. Use the release that wrote it, or build it anew: "
            "rac index build TABLE -o DIR"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise CorruptMemory(f"{where}: {place}: {said}") from fault


def _render(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(_render(content).encode("utf-8", "surrogatepass")).hexdigest()
