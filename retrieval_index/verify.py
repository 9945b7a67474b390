"""A memory looked at as a whole: checksums of every file, then whether the contents agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrieval_index.contents import TOLERANCE, load_contents
from retrieval_index.errors import CorruptMemory, MemoryFault
from retrieval_index.manifest import FileEntry, Manifest
from retrieval_index.rows import check_rows
from retrieval_index.soundness import check_files
from retrieval_index.store import Store
from retrieval_index.view import View

_SAMPLE = 64


def verify_folder(folder: str | Path) -> Manifest:
    """Check everything that can be checked of a memory on disk, the kept version included.

    Where a writer publishes meanwhile, what it published is checked instead.

    Args:
        folder: the memory's folder.

    Returns:
        The manifest of the current version, in which all is well.

    Raises:
        NoMemory, FormatMismatch: see ``read_manifest``.
        CorruptMemory: something is damaged; the message names every damaged file.
    """
    store = Store(folder)
    while True:
        manifest = store.current()
        faults = _faults(store, manifest)
        if not faults:
            return manifest
        # A writer may have removed files that were still to be read.
        if store.current().version == manifest.version:
            raise CorruptMemory("\n".join(faults))


def _faults(store: Store, manifest: Manifest) -> list[str]:
    copies, entries = kept_copies(store, manifest)
    checked = check_files(store.folder, entries, everything=True)
    if copies or checked.faults:
        return copies + checked.faults
    try:
        view = View(load_contents(store, manifest, checked=checked), manifest, store.folder)
    except CorruptMemory as damaged:
        return [str(damaged)]
    return [f"{store.folder}: {line}" for line in content_faults(view)]


def kept_copies(store: Store, manifest: Manifest) -> tuple[list[str], list[FileEntry]]:
    """Read the manifests in the folders of a version and of the one kept before it.

    Returns:
        What is wrong with them, and the files that they and ``manifest`` name.
    """
    faults = []
    entries = {entry.path: entry for entry in manifest.all_files()}
    for number in (manifest.version, manifest.previous):
        if number is None:
            continue
        try:
            copy = store.numbered(number)
        except MemoryFault as unreadable:
            faults.append(str(unreadable))
            continue
        entries |= {entry.path: entry for entry in copy.all_files()}
    return faults, list(entries.values())


def content_faults(memory: View) -> list[str]:
    """Check that counts agree, ids are unique, the metric fits, and rows find themselves."""
    faults = []
    count = memory.manifest.count
    for what, length in (
        ("vectors", len(memory.vectors)),
        ("searchable vectors", len(memory.searchable)),
        ("rows", len(memory.rows)),
    ):
        if length != count:
            faults.append(f"{length} {what}, but the manifest counts {count}")
    try:
        check_rows(memory.rows)
    except MemoryFault as refused:
        faults.append(str(refused))
    if faults or not count:
        return faults
    sample = np.unique(np.linspace(0, count - 1, num=min(count, _SAMPLE)).astype(np.int64))
    mapped = memory.metric.apply(memory.vectors[sample])
    apart = np.abs(mapped - memory.searchable[sample]).max(axis=1) > TOLERANCE
    if apart.any():
        row = int(sample[np.argmax(apart)])
        faults.append(f"row {row}: the searchable vector is not the metric of the vector")
        return faults
    found = memory.search(memory.vectors[sample], k=1)
    own = np.einsum("nd,nd->n", mapped, mapped, dtype=np.float64)
    missed = found.scores[:, 0] < own - TOLERANCE
    if missed.sum() > _may_miss(memory) * len(sample):
        row = int(sample[np.argmax(missed)])
        faults.append(f"row {row}: a search for its own vector finds nothing as near")
    return faults


def _may_miss(memory: View) -> float:
    """Give the share of rows that need not find themselves: twice what the index misses."""
    recall = memory.manifest.index.measured_recall
    return 0.0 if recall is None else 2 * (1 - recall) + 0.02
