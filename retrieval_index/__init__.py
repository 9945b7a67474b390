"""The memory: vectors and rows, looked up by nearness, kept in a folder that can be trusted.

Knows nothing of images, encoders or what a class means.
"""

from __future__ import annotations

from retrieval_index.building import Batch
from retrieval_index.duplicates import DuplicatePairs, duplicate_pairs, repeated
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
    TargetMissed,
    UnknownId,
)
from retrieval_index.evened import EvenedMetric
from retrieval_index.exact import exact_search
from retrieval_index.exchange import export_memory, plain_batches, read_exported
from retrieval_index.manifest import FileEntry, IndexPlan, IndexRecipe, Manifest
from retrieval_index.memory import Memory
from retrieval_index.metric import CosineMetric, Metric, WhitenedMetric
from retrieval_index.neighbours import Neighbours
from retrieval_index.rows import make_rows
from retrieval_index.verify import verify_folder

__all__ = [
    "BadRows",
    "BadVectors",
    "Batch",
    "CorruptMemory",
    "CosineMetric",
    "DuplicateId",
    "DuplicatePairs",
    "EncoderMismatch",
    "EvenedMetric",
    "FileEntry",
    "FormatMismatch",
    "IndexPlan",
    "IndexRecipe",
    "Manifest",
    "Memory",
    "MemoryBusy",
    "MemoryFault",
    "Metric",
    "Neighbours",
    "NoMemory",
    "TargetMissed",
    "UnknownId",
    "WhitenedMetric",
    "duplicate_pairs",
    "exact_search",
    "export_memory",
    "make_rows",
    "plain_batches",
    "read_exported",
    "repeated",
    "verify_folder",
]
