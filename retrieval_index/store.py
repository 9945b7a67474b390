"""The folder of a memory: versions that are published whole, one writer at a time.

::

    DIR/
      manifest.json                the current version; replacing it publishes, in one rename
      versions/000001/…            the files that version 1 wrote, never changed afterwards
      versions/000001/manifest.json    a copy of version 1's manifest, for going back
      .lock                        held by the writer

A manifest names its files by path, so a version may share files with the one before. The current
version and the one before it are kept. Whatever else lies in ``versions`` is what a writer left
that did not finish, or is out of date; the next writer removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval_index.errors import CorruptMemory, FormatMismatch, MemoryBusy, MemoryFault, NoMemory
from retrieval_index.files import replace_file, sha256_file, sync_folder
from retrieval_index.manifest import MANIFEST, FileEntry, Manifest, manifest_text, read_manifest

VERSIONS = "versions"
LOCK = ".lock"


class Draft:
    """The version that a writer is making; nobody sees it before ``publish``.

    Attributes:
        version: its number.
        base: the manifest of the version it follows, or None where there is none to be read.
    """

    def __init__(self, store: Store, version: int, base: Manifest | None) -> None:
        self.version = version
        self.base = base
        self._store = store

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """Give a path to write a file of this version to; afterwards it is on the disk."""
        with replace_file(self.path(name)) as part:
            yield part

    def path(self, name: str) -> Path:
        """Give the place of a file of this version."""
        return self._store.folder / _version_folder(self.version) / name

    def entry(self, name: str) -> FileEntry:
        """Give the entry of a file that is written."""
        path = self.path(name)
        return FileEntry(
            path=f"{_version_folder(self.version)}/{name}",
            bytes=path.stat().st_size,
            sha256=sha256_file(path),
        )

    def publish(self, manifest: Manifest) -> Manifest:
        """Make this the current version: ``manifest`` with its number and predecessor set."""
        complete = manifest.model_copy(
            update={
                "version": self.version,
                "previous": self.base.version if self.base else None,
            }
        )
        text = manifest_text(complete)
        folder = self._store.folder
        for path in (folder / _version_folder(self.version) / MANIFEST, folder / MANIFEST):
            with replace_file(path) as part:
                part.write_text(text, encoding="utf-8", newline="\n")
        return complete


class Store:
    """Reads and writes the versions in one folder.

    Args:
        folder: the memory's folder; made by the first writer.
        wait_s: seconds that a writer waits for another one to finish.
    """

    def __init__(self, folder: str | Path, *, wait_s: float = 600.0) -> None:
        self.folder = Path(folder)
        self.wait_s = wait_s

    def current(self) -> Manifest:
        """Read the manifest of the current version.

        Raises:
            NoMemory, FormatMismatch, CorruptMemory: see ``read_manifest``.
        """
        return read_manifest(self.folder / MANIFEST)

    def numbered(self, version: int) -> Manifest:
        """Read the manifest of a version that is still kept; raises as ``current`` does."""
        return read_manifest(self.folder / _version_folder(version) / MANIFEST)

    def locate(self, entry: FileEntry) -> Path:
        """Give the path of a version's file, after a check that it is there in full length.

        Raises:
            CorruptMemory: it is missing, or has another length; the message names it.
        """
        path = self.folder / entry.path
        fault = length_fault(path, entry)
        if fault:
            raise CorruptMemory(f"{fault}; run: rac index verify {self.folder}")
        return path

    @contextmanager
    def writing(self) -> Iterator[Draft]:
        """Lock the folder, clean it, and give the draft of the next version.

        A block that ends without ``publish``, or raises, changes nothing that a reader sees.

        Raises:
            MemoryBusy: another writer did not finish within ``wait_s``.
            MemoryFault: the folder holds other things than a memory.
        """
        self._refuse_foreign_folder()
        (self.folder / VERSIONS).mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self.folder / LOCK, timeout=self.wait_s).acquire()
        except Timeout:
            raise MemoryBusy(
                f"{self.folder}: another writer has held the lock for {self.wait_s:g} s; "
                "try again when it has finished"
            ) from None
        with lock:
            base = self._readable_base()
            if base is not None:
                with suppress(OSError):
                    self._remove_all_but(base)
            draft = Draft(self, self._next_number(base), base)
            try:
                yield draft
            finally:
                # What is published by now decides: after a failure that is still the base. The
                # outcome is settled, so trouble while cleaning is left to the next writer.
                with suppress(OSError):
                    current = self._readable_base()
                    if current is not None:
                        self._remove_all_but(current)
                    elif not (self.folder / MANIFEST).exists():
                        # The first version failed: what was written of it is of no use.
                        shutil.rmtree(self.folder / VERSIONS)

    def _refuse_foreign_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise MemoryFault(f"{self.folder}: is a file; a memory needs a folder of its own")
        if (self.folder / MANIFEST).exists() or not self.folder.exists():
            return
        foreign = sorted(
            entry.name
            for entry in self.folder.iterdir()
            if entry.name != VERSIONS and not entry.name.startswith(".")
        )
        if foreign:
            raise MemoryFault(
                f"{self.folder}: holds other things than a memory ({foreign[0]}); "
                "name an empty or a new folder"
            )

    def _readable_base(self) -> Manifest | None:
        try:
            return self.current()
        except (NoMemory, CorruptMemory, FormatMismatch):
            return None

    def _next_number(self, base: Manifest | None) -> int:
        there = [int(p.name) for p in (self.folder / VERSIONS).iterdir() if p.name.isdigit()]
        return max([base.version if base else 0, *there]) + 1

    def _remove_all_but(self, current: Manifest) -> None:
        """Remove what neither this version nor the one before it needs.

        What cannot be removed now (a file that is open on Windows) is left for the next writer.
        """
        kept = _needed(current)
        if current.previous is not None:
            with suppress(MemoryFault):
                kept |= _needed(self.numbered(current.previous))
        for version in (self.folder / VERSIONS).iterdir():
            if not version.is_dir():
                version.unlink(missing_ok=True)
                continue
            entries = list(version.iterdir())
            for entry in entries:
                if entry.relative_to(self.folder).as_posix() not in kept:
                    entry.unlink(missing_ok=True)
            if not any(version.iterdir()):
                version.rmdir()
        for part in self.folder.glob(".*.part"):
            part.unlink(missing_ok=True)
        sync_folder(self.folder)


def _needed(manifest: Manifest) -> set[str]:
    """Give the paths of a version's files, relative to the memory's folder."""
    paths = {entry.path for entry in manifest.all_files()}
    return paths | {f"{_version_folder(manifest.version)}/{MANIFEST}"}


def length_fault(path: Path, entry: FileEntry) -> str | None:
    """Say what is wrong with a file's presence or length, or None."""
    try:
        length = path.stat().st_size
    except OSError:
        return f"{path}: is missing"
    if length != entry.bytes:
        return f"{path}: has {length} bytes, the manifest says {entry.bytes}"
    return None


def _version_folder(version: int) -> str:
    return f"{VERSIONS}/{version:06d}"
