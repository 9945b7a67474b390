"""What jobs that can be killed have in common: a folder held by one process, and whose it is."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from rac.errors import InputError
from retrieval_index.files import replace_file
from retrieval_index.lock import LockHeld, LockRefused, hold

DESCRIPTION = "job.json"


@contextmanager
def held(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder, made where it is missing, for the length of the block.

    Args:
        folder: the lock file lies in it.
        busy: what is said where another process holds it; who that is is added.

    Raises:
        InputError: it cannot be made or locked, or another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from error
    with ExitStack() as locked:
        try:
            locked.enter_context(hold(folder / ".lock", wait_s=0.0, what=str(folder)))
        except LockHeld as holder:
            raise InputError(f"{busy} ({holder})") from None
        except LockRefused as fault:
            raise InputError(str(fault)) from fault
        yield


def private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, where it is missing; one that is there keeps its mode.

    What a job keeps holds copies of a table's cells and images' embeddings, and whoever may read
    the table is not known here. Folders above it are made as the user's umask says.

    Raises:
        InputError: it cannot be made, or something else than a folder is in its place.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    except FileExistsError:
        raise InputError(
            f"{folder}: something else than a folder is in its place; move it away, or give "
            "another folder"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from error


def remove_made(folder: Path, made: re.Pattern[str]) -> None:
    """Remove the files of a folder that a job made there, and the folder if nothing else is left.

    Args:
        folder: missing is fine. A link in its place is left as it is, with all behind it.
        made: matches the whole names of the files that the job makes; folders and links that are
            called so are not the job's, and stay.
    """
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        ours = [
            Path(entry.path)
            for entry in entries
            if made.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in ours:
        path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def goes_on(folder: Path, job: BaseModel, *, holder: Path, otherwise: str) -> bool:
    """Tell whether a folder holds parts of this very job; a new one is described there.

    Args:
        folder: of the parts.
        job: what it is.
        holder: the folder as the user knows it.
        otherwise: what else to do than to finish the job, for the message.

    Raises:
        InputError: the folder holds the parts of another job.
    """
    described = folder / DESCRIPTION
    if not os.path.lexists(described):
        with replace_file(described) as draft:
            draft.write_text(job.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return False
    advice = f"finish it as it was begun, {otherwise}, or throw it away with --restart"
    try:
        # As bytes: the parser refuses what is not UTF-8, and what is nested too deeply.
        before = type(job).model_validate_json(described.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}: " for part in first["loc"])
        raise InputError(f"{described}: it is damaged: {place}{first['msg']}; {advice}") from error
    except OSError as error:
        raise InputError(
            f"{described}: it cannot be read: {error.strerror or error}; {advice}"
        ) from error
    for name, was in before.model_dump().items():
        now = getattr(job, name)
        if was != now:
            raise InputError(
                f"{holder} holds an unfinished job whose {name} is {was!r}, not {now!r}; {advice}"
            )
    return True


def changed(source: str, folder: Path) -> InputError:
    """Give the error of a table whose rows, done before, are others now."""
    return InputError(
        f"{source}: ids or image cells of rows that are done already have changed since the last "
        f"run; begin again with --restart (what it did lies in {folder})"
    )
