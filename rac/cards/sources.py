"""Where a card's raw files are: on this machine, or fetched once."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import urllib.request
from pathlib import Path

from rac.cards.card import Card
from rac.errors import JobFailed
from rac.home import cache_home
from rac.tables.folders import replace_folder

_TIMEOUT_S = 60


def data_home() -> Path | None:
    """Give the folder of data that lies here already, ``$RAC_DATA_HOME``; None where unset."""
    given = os.environ.get("RAC_DATA_HOME")
    return Path(given).expanduser() if given else None


def find_source(card: Card) -> Path | None:
    """Give the folder with a card's raw files, None where there is none on this machine.

    Looked at are ``$RAC_DATA_HOME/<folder>``, the absolute folders of the card, and what was
    fetched before. A card without folders and archive needs none; it gets an empty path.
    """
    if not card.source.folders and card.source.archive is None:
        return Path()
    home = data_home()
    candidates = [
        home / folder for folder in card.source.folders if home and not Path(folder).is_absolute()
    ]
    candidates += [Path(folder) for folder in card.source.folders if Path(folder).is_absolute()]
    candidates.append(_fetched(card) / card.source.inside)
    for folder in candidates:
        if folder.is_dir() and all((folder / name).exists() for name in card.source.needs):
            return folder
    return None


def require_source(card: Card) -> Path:
    """Give the folder with a card's raw files; fetch its archive where there is none.

    Raises:
        JobFailed: there are no files and they cannot be fetched; the message says how to get them.
    """
    folder = find_source(card)
    if folder is not None:
        return folder
    if card.source.archive is None:
        raise JobFailed(_not_there(card))
    with replace_folder(_fetched(card)) as draft:
        _download(card, card.source.archive, draft)
    folder = find_source(card)
    if folder is None:
        raise JobFailed(
            f"{card.source.archive} does not hold {', '.join(card.source.needs)} in "
            f"{card.source.inside}"
        )
    return folder


def _fetched(card: Card) -> Path:
    # Cards of one archive share it.
    return cache_home() / "sources" / Path((card.source.folders or (card.name,))[0]).name


def _download(card: Card, url: str, folder: Path) -> None:
    """Download a ``.tar.gz`` and unpack it; nothing in it can be written outside the folder."""
    with tempfile.TemporaryFile() as spool:
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - ours
                shutil.copyfileobj(answer, spool, 1 << 20)
            spool.seek(0)
            with tarfile.open(fileobj=spool, mode="r:gz") as archive:
                archive.extractall(folder, filter="data")
        except (OSError, tarfile.TarError, EOFError) as error:
            raise JobFailed(f"{url}: {error}. {_not_there(card)}") from error


def _not_there(card: Card) -> str:
    return f"The files of {card.name} are not on this machine. {' '.join(card.obtain.split())}"
