"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval_index.files import sync_folder


@contextmanager
def replace_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder to fill; on success it becomes ``path``.

    If the block raises, the temporary folder is removed and whatever ``path`` held stays. A link in
    the place of ``path`` is replaced itself; what it points to stays as it is.

    >>> target = Path(tempfile.mkdtemp()) / "run"
    >>> with replace_folder(target) as draft:
    ...     _ = (draft / "a.txt").write_text("a")
    >>> [child.name for child in target.iterdir()]
    ['a.txt']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    old: Path | None = None
    try:
        yield draft
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o777 & ~umask)
        if os.path.lexists(target):
            # A full folder cannot be renamed over; the old one steps aside for one rename.
            old = Path(
                tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old")
            )
            target.rename(old / target.name)
        try:
            draft.rename(target)
        except OSError:
            if old is not None:
                (old / target.name).rename(target)
            raise
        sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
