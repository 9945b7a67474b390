"""The folder of a memory: versions that are published whole, one writer at a time.

::

    DIR/
      manifest.json                the current version; replacing it publishes, in one rename
      versions/000001/…            the files that version 1 wrote, never changed afterwards
      versions/000001/manifest.json    a copy of version 1's manifest, for going back
      .lock                        held by the writer; .lock.json says who that is
      .verified.json               large files that were found to be sound; see ``soundness``

A manifest names its files by path, so a version may share files with the one before. The current
version and the one before it are kept. What else lies in ``versions`` and bears a name that a
writer gives is what one left that did not finish, or is out of date; the next writer removes it.
Files of other names are not ours: they are named, and left where they are. No link is followed.
"""

from __future__ import annotations

import errno
import logging
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from retrieval_index.errors import CorruptMemory, FormatMismatch, MemoryBusy, MemoryFault, NoMemory
from retrieval_index.files import is_draft_of, replace_file, sync_folder
from retrieval_index.lock import LockHeld, LockRefused, hold
from retrieval_index.manifest import MANIFEST, FileEntry, Manifest, manifest_text, read_manifest
from retrieval_index.soundness import STAMPS, hash_written, length_fault, remember

VERSIONS = "versions"
LOCK = ".lock"

_NUMBERED: Final = re.compile(r"[0-9]{6,12}")
_OURS: Final = re.compile(
    r"(vectors|searchable|texts|dead)(-[0-9]+)?\.npy|rows(-[0-9]+)?\.arrow"
    r"|metric\.npz|index\.faiss|manifest\.json"
)
_DRAFT: Final = re.compile(r"\.(?P<name>.+)\.[^.]+\.part")
_log = logging.getLogger(__name__)


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
        digest, sound = hash_written(path)
        entry = FileEntry(
            path=f"{_version_folder(self.version)}/{name}",
            bytes=path.stat().st_size,
            sha256=digest,
        )
        if sound is not None:
            remember(self._store.folder, {entry.path: sound})
        return entry

    def publish(self, manifest: Manifest, *, previous: int | None = None) -> Manifest:
        """Make this the current version: ``manifest`` with its number and predecessor set.

        Args:
            manifest: what the version is made of.
            previous: the version to keep for going back where there is no ``base``.
        """
        complete = manifest.model_copy(
            update={
                "version": self.version,
                "previous": self.base.version if self.base else previous,
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
        """Read the manifest of the current version, and compare it with its copy.

        A copy that is gone or damaged does no harm here: what is read vouches for itself.

        Raises:
            NoMemory, FormatMismatch, CorruptMemory: see ``read_manifest``; or the two contradict
                each other. The message says what can be done.
        """
        path = self.folder / MANIFEST
        try:
            manifest = read_manifest(path)
        except CorruptMemory as damaged:
            raise self.damaged([str(damaged)]) from damaged
        try:
            copy = self.numbered(manifest.version)
        except MemoryFault:
            return manifest
        if copy != manifest:
            there = self.folder / _version_folder(manifest.version) / MANIFEST
            raise self.damaged([f"{path}: differs from its copy, {there}; one of them was edited"])
        return manifest

    def numbered(self, version: int) -> Manifest:
        """Read the manifest of a version that is still kept.

        Raises:
            FormatMismatch, CorruptMemory: see ``read_manifest``; or it is missing, or another's.
        """
        path = self.folder / _version_folder(version) / MANIFEST
        try:
            manifest = read_manifest(path)
        except NoMemory:
            raise CorruptMemory(f"{path}: is missing") from None
        if manifest.version != version:
            raise CorruptMemory(f"{path}: is the manifest of version {manifest.version}")
        return manifest

    def kept(self) -> list[Manifest]:
        """Give the manifests in ``versions`` that can be read, the newest first."""
        found = []
        for number in sorted(self._numbers(), reverse=True):
            with suppress(MemoryFault):
                found.append(self.numbered(number))
        return found

    def damaged(self, faults: list[str], manifest: Manifest | None = None) -> CorruptMemory:
        """Give the error for a current version that is damaged: what is wrong, and what to do.

        Args:
            faults: what is wrong; each names its file.
            manifest: of the version; None where it is the manifest that is damaged.
        """
        back = f"rac index rollback {self.folder}"
        advice = (
            f"no earlier version is kept; to build it anew: rac index build TABLE -o {self.folder}"
        )
        if manifest is None and self.kept():
            advice = f"to bring the newest version back that is sound: {back}"
        elif manifest is not None and manifest.previous is not None:
            advice = f"to go back to version {manifest.previous}: {back}"
        if manifest is not None:
            advice = f"to check every file: rac index verify {self.folder}; {advice}"
        return CorruptMemory("\n".join([*faults, advice]))

    def locate(self, entry: FileEntry) -> Path:
        """Give the path of a version's file, after a check that it is there in full length.

        Raises:
            CorruptMemory: it is missing, or has another length; the message names it.
        """
        path = self.folder / entry.path
        fault = length_fault(path, entry)
        if fault:
            raise CorruptMemory(fault)
        return path

    @contextmanager
    def writing(self) -> Iterator[Draft]:
        """Lock the folder, clean it, and give the draft of the next version.

        A block that ends without ``publish``, or raises, changes nothing that a reader sees.

        Raises:
            MemoryBusy: another writer did not finish within ``wait_s``; who that is is said.
            MemoryFault: the folder holds other things than a memory, or cannot be locked.
        """
        self._refuse_foreign_folder()
        (self.folder / VERSIONS).mkdir(parents=True, exist_ok=True)
        with ExitStack() as locked:
            try:
                locked.enter_context(
                    hold(self.folder / LOCK, wait_s=self.wait_s, what=str(self.folder))
                )
            except LockHeld as holder:
                raise MemoryBusy(
                    f"{self.folder}: another writer has held the lock for {self.wait_s:g} s "
                    f"({holder}); try again when it has finished"
                ) from None
            except LockRefused as fault:
                raise MemoryFault(str(fault)) from fault
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
                        for stranger in self._remove_all_but(current):
                            _log.warning("%s: is no file of a memory, and is left there", stranger)
                    else:
                        # What was written before it failed is of no use.
                        with suppress(FileNotFoundError):
                            self._empty(self.folder / _version_folder(draft.version), kept=set())
                        with suppress(OSError):  # as long as earlier versions lie there
                            (self.folder / VERSIONS).rmdir()

    def _refuse_foreign_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise MemoryFault(f"{self.folder}: is a file; a memory needs a folder of its own")
        versions = self.folder / VERSIONS
        if versions.is_symlink() or (versions.exists() and not versions.is_dir()):
            raise MemoryFault(
                f"{versions}: is a link or a file, where a memory writes into a folder of its own"
            )
        manifest = self.folder / MANIFEST
        if manifest.exists() or manifest.is_symlink() or not self.folder.exists():
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

    def _numbers(self) -> list[int]:
        """Give the numbers that folders in ``versions`` bear."""
        try:
            names = [entry.name for entry in (self.folder / VERSIONS).iterdir()]
        except OSError:
            return []
        return [int(name) for name in names if _NUMBERED.fullmatch(name)]

    def _next_number(self, base: Manifest | None) -> int:
        return max([base.version if base else 0, *self._numbers()]) + 1

    def _remove_all_but(self, current: Manifest) -> list[Path]:
        """Remove what neither this version nor the one before it needs; give what is not ours.

        What cannot be removed now (a file that is open on Windows) is left for the next writer.
        """
        kept = _needed(current)
        if current.previous is not None:
            with suppress(MemoryFault):
                kept |= _needed(self.numbered(current.previous))
        strangers = []
        for entry in (self.folder / VERSIONS).iterdir():
            if _NUMBERED.fullmatch(entry.name) and stat.S_ISDIR(entry.lstat().st_mode):
                strangers += self._empty(entry, kept)
            else:
                strangers.append(entry)
        for entry in self.folder.iterdir():
            if any(is_draft_of(entry, name) for name in (MANIFEST, STAMPS, f"{LOCK}.json")):
                entry.unlink(missing_ok=True)
        sync_folder(self.folder)
        return strangers

    def _empty(self, version: Path, kept: set[str]) -> list[Path]:
        """Remove our files from a version's folder, and the folder if that leaves it empty.

        Args:
            version: the folder.
            kept: paths, relative to the memory's folder, that stay.

        Returns:
            What lies there and is not ours.
        """
        strangers = []
        for entry in version.iterdir():
            if entry.relative_to(self.folder).as_posix() in kept:
                continue
            draft = _DRAFT.fullmatch(entry.name)
            name = draft["name"] if draft else entry.name
            if _OURS.fullmatch(name) and not stat.S_ISDIR(entry.lstat().st_mode):
                entry.unlink(missing_ok=True)  # a link goes itself, not what it leads to
            else:
                strangers.append(entry)
        try:
            version.rmdir()
        except OSError as fault:
            if fault.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        return strangers


def _needed(manifest: Manifest) -> set[str]:
    """Give the paths of a version's files, relative to the memory's folder."""
    paths = {entry.path for entry in manifest.all_files()}
    return paths | {f"{_version_folder(manifest.version)}/{MANIFEST}"}


def _version_folder(version: int) -> str:
    return f"{VERSIONS}/{version:06d}"
