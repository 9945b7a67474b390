"""Embeddings computed once: a cache on disk keyed by encoder identity and image content.

The cache is a convenience: what is wrong with it is said in one line, and costs time, never a job
and never a right embedding.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np

from rac.embedding.entries import FILE, JOURNAL, Entries, EntriesDamaged, EntriesFault, EntriesMoved
from rac.embedding.own_files import open_own
from rac.encoders import Encoder
from rac.encoders.base import FloatArray
from rac.home import cache_home, make_private
from rac.progress import say
from retrieval_index.files import replace_file

DESCRIPTION = "encoder.json"
"""A file beside the entries that names the encoder; its date says when they were used last."""

SUFFIX = ".v2"
"""Of the folder of a cache. The first version's had none, held an LMDB file without checksums, and
is never opened: its embeddings are made anew, and ``rac cache prune`` removes it."""

ASIDE = ".damaged-"
"""Begins what is added to the name of a cache that was set aside."""

_FLOAT_BYTES = 4
#: Characters of a description; what is longer is none.
_MOST_DESCRIPTION = 1 << 16


def caches_folder() -> Path:
    """Give the folder that holds the caches of all encoders, each named by its identity."""
    return cache_home() / "embeddings"


class EmbeddingCache:
    """Embedding and trunk features by the SHA-256 of an image's bytes, for one encoder.

    A folder for each encoder identity: a changed encoder never sees another's entries, a renamed
    image file is still found, a killed writer leaves what it had committed, and several processes
    may share it. Close it, or use it as a context manager.

    None of its methods fails for what has become of the files. A value whose checksum is wrong
    counts as not known and is replaced. A file that is not what we wrote is renamed to
    ``<identity>.v2.damaged-<time>`` and begun anew. Where nothing can be read, or nothing more
    be kept (a full or read-only disk), the job goes on without. Each of these is said once.
    """

    def __init__(
        self, encoder: Encoder, folder: Path | None = None, *, told: Callable[[str], None] = say
    ) -> None:
        """Open or create the cache.

        Args:
            encoder: whose outputs are kept.
            folder: where all caches lie; ``<cache home>/embeddings`` by default.
            told: hears in one line what is wrong with the cache.
        """
        self._sizes = (encoder.embedding_dim, encoder.trunk_dim)
        self._name = encoder.name
        self._told = told
        self._changing = threading.RLock()
        self._keeps = True
        self._set_aside_before = False
        self._damaged: set[bytes] = set()
        self.path = (folder or caches_folder()) / f"{encoder.identity}{SUFFIX}"
        self._entries = self._open()

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; nothing is known and nothing kept afterwards."""
        with self._changing:
            if self._entries is not None:
                self._entries.close()
            self._entries = None
        if self._damaged:
            self._told(f"{self.path}: damaged entries, embedded anew: {len(self._damaged):,}")
            self._damaged = set()

    def get(self, content_hash: str) -> tuple[FloatArray, FloatArray] | None:
        """Give (embedding (D,), trunk (T,)) of an image, or None where it is not known."""
        return self.get_many([content_hash]).get(content_hash)

    def get_many(self, content_hashes: Iterable[str]) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Give (embedding (D,), trunk (T,)) of those images that are known, read-only."""
        entries = self._entries
        if entries is None:
            return {}
        wanted = {bytes.fromhex(one): one for one in content_hashes}
        try:
            values, damaged = entries.get(list(wanted))
        except EntriesFault as fault:
            self._mend(entries, fault)
            return {}
        self._damaged |= damaged
        found = {}
        for key, value in values.items():
            numbers = np.frombuffer(value, np.float32)
            found[wanted[key]] = (numbers[: self._sizes[0]], numbers[self._sizes[0] :])
        return found

    def put(self, entries: dict[str, tuple[FloatArray, FloatArray]]) -> None:
        """Keep (embedding (D,), trunk (T,)) by content hash, all in one transaction."""
        kept = self._entries
        if kept is None or not self._keeps:
            return
        values = {
            bytes.fromhex(one): np.concatenate([embedding, trunk]).astype(np.float32).tobytes()
            for one, (embedding, trunk) in entries.items()
        }
        try:
            kept.put(values)
        except (EntriesDamaged, EntriesMoved) as fault:
            self._mend(kept, fault)
        except EntriesFault as fault:
            # What is there can be read all the same.
            self._keeps = False
            self._told(f"{self.path}: {fault}; this job goes on without keeping its embeddings")

    def __len__(self) -> int:
        """Give how many images are known; 0 where the cache cannot be had."""
        entries = self._entries
        try:
            return 0 if entries is None else len(entries)
        except EntriesFault as fault:
            self._mend(entries, fault)
            return 0

    def _open(self) -> Entries | None:
        """Open the cache, mended where it must be; None where it is to be passed by."""
        try:
            if not os.path.lexists(self.path):
                self._create()
            entries = self._entries_of_now()
        except EntriesDamaged as fault:
            return self._begin_anew(fault)
        except (EntriesFault, OSError) as fault:
            self._pass_by(fault)
            return None
        self._mark_use()
        return entries

    def _entries_of_now(self) -> Entries:
        if self.path.is_symlink() or not self.path.is_dir():
            raise EntriesDamaged("it is no folder of ours")
        return Entries(self.path, _FLOAT_BYTES * sum(self._sizes))

    def _create(self) -> None:
        """Make the folder, whole or not at all."""
        home = self.path.parent
        make_private(home)
        draft = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".part", dir=home))
        try:
            Entries.create(draft)
            (draft / DESCRIPTION).write_text(_description(self._name), encoding="utf-8")
            draft.rename(self.path)
        except (EntriesFault, OSError):
            for name in (FILE, JOURNAL, DESCRIPTION):
                (draft / name).unlink(missing_ok=True)
            draft.rmdir()
            # Another process may have been faster: its cache is as good.
            if not self.path.is_dir():
                raise

    def _begin_anew(self, fault: EntriesFault) -> Entries | None:
        """Set what is there aside and open a new cache in its place, once in an instance's life."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.path.with_name(f"{self.path.name}{ASIDE}{stamp}-{os.urandom(2).hex()}")
        try:
            if self._set_aside_before:
                raise fault
            self._set_aside_before = True
            self.path.rename(aside)
            self._create()
            entries = self._entries_of_now()
        except (EntriesFault, OSError) as error:
            self._pass_by(error)
            return None
        # Of a cache that is gone as a whole, its single entries are no news.
        self._damaged = set()
        self._told(
            f"{self.path}: the cache is damaged ({fault}): it is set aside as {aside.name}, "
            "and embeddings are made anew"
        )
        return entries

    def _mend(self, entries: Entries | None, fault: EntriesFault) -> None:
        """Do about failed entries what can be done; the first thread that comes does it."""
        with self._changing:
            if entries is None or self._entries is not entries:
                return
            entries.close()
            self._entries = None
            if isinstance(fault, EntriesDamaged) and self._still(entries):
                self._entries = self._begin_anew(fault)
            elif isinstance(fault, EntriesDamaged | EntriesMoved):
                # Another process has set it aside already, or somebody has pruned it.
                self._entries = self._open()
            else:
                self._pass_by(fault)

    def _still(self, entries: Entries) -> bool:
        try:
            state = (self.path / FILE).lstat()
        except OSError:
            return False
        return entries.file_number == (state.st_ino, state.st_dev)

    def _mark_use(self) -> None:
        description = self.path / DESCRIPTION
        try:
            named = read_description(description)
            if named != self._name:
                with replace_file(description) as draft:
                    draft.write_text(_description(self._name), encoding="utf-8")
            if named is None:
                self._told(f"{description} did not name the encoder; it is written anew")
            os.utime(description)
        except OSError:
            # A cache that may only be read serves as well.
            return

    def _pass_by(self, fault: Exception) -> None:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        self._told(f"{self.path}: {reason}; this job goes on without the cache")


def read_description(path: Path) -> str | None:
    """Give the encoder's name as the file beside the entries has it; None where it has none."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
        with open(descriptor, encoding="utf-8") as handle:
            named = json.loads(handle.read(_MOST_DESCRIPTION))["encoder"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return named if isinstance(named, str) else None


def _description(encoder: str) -> str:
    return json.dumps({"encoder": encoder}) + "\n"
