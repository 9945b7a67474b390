"""The memory: vectors and rows, looked up by nearness, kept in a folder that can be trusted.

Knows nothing of images, encoders or what a class means.
"""

from __future__ import annotations

from retrieval_index.errors import (
    BadRows,
    BadVectors,
    CorruptMemory,
    DuplicateId,
    EncoderMismatch,
    FormatMismatch,
    MemoryBusy,
    MemoryFault,
    NoMemory,
)
from retrieval_index.evened import EvenedMetric
from retrieval_index.exact import exact_search
from retrieval_index.manifest import FileEntry, IndexRecipe, Manifest
from retrieval_index.memory import Memory
from retrieval_index.metric import CosineMetric, Metric, WhitenedMetric
from retrieval_index.neighbours import Neighbours
from retrieval_index.rows import make_rows
from retrieval_index.verify import verify_folder

__all__ = [
    "BadRows",
    "BadVectors",
    "CorruptMemory",
    "CosineMetric",
    "DuplicateId",
    "EncoderMismatch",
    "EvenedMetric",
    "FileEntry",
    "FormatMismatch",
    "IndexRecipe",
    "Manifest",
    "Memory",
    "MemoryBusy",
    "MemoryFault",
    "Metric",
    "Neighbours",
    "NoMemory",
    "WhitenedMetric",
    "exact_search",
    "make_rows",
    "verify_folder",
]
