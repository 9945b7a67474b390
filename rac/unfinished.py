"""What jobs that can be killed have in common: a folder held by one process, and whose it is."""

from __future__ import annotations

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
    if not described.exists():
        with replace_file(described) as draft:
            draft.write_text(job.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return False
    advice = f"finish it as it was begun, {otherwise}, or throw it away with --restart"
    try:
        before = type(job).model_validate_json(described.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{described} cannot be read ({error}); {advice}") from error
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
