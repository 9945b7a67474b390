"""``postgres.json``: which job on which table a run's folder holds, and how far it has come."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from eval.errors import ReportFault
from eval.sealed_json import SEAL, read_object, require_seal, seal
from rac.attributes.run_folder import read_json, write_json
from rac.errors import InputError

NOTE = "postgres.json"
SNAPSHOT = "snapshot.parquet"
LOG = "applied.jsonl"
WRITTEN = "written.parquet"
STANDING = "standing.parquet"
"""Written by versions before the journal."""


class Note(BaseModel):
    """What is known of a job besides its decisions; it carries a checksum.

    Attributes:
        version: of this file.
        address: of the table.
        key: the column that names rows.
        job: by which the journal knows this folder.
        journal: schema of the journal in the database; None for one in the folder.
        run: counts the times that the job decided anew, from 1.
        applied: what the decisions follow from besides the table, once writing has begun.
        finished: whether all is written.
        undone: whether it was taken back since.
        standing: cells that the journal held at least when this was written.
        lines: of the journal in the folder, that were written at least.
        chain: their checksum.
        snapshot: SHA-256 of what was read of the table.
        others: cells of the snapshot that hold fills of other runs.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    version: Literal[2] = 2
    address: str
    key: str
    job: str
    journal: str | None
    run: int = 1
    applied: list[Any] | None = None
    finished: bool = False
    undone: bool = False
    standing: int = 0
    lines: int = 0
    chain: str = ""
    snapshot: str | None = None
    others: int = 0

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all; it has reached the disk then."""
        write_json(folder / NOTE, seal(self.model_dump(mode="json")))

    @property
    def identity(self) -> dict[str, str | None]:
        """What ``run.json`` says too, so that a lost note loses no fill."""
        return {"postgres": self.address, "key": self.key, "job": self.job, "journal": self.journal}


def new_job() -> str:
    """Give a name that no other job has."""
    return secrets.token_hex(16)


def read_note(folder: Path) -> Note | None:
    """Read the note of a folder; None where there is none, or one of before the journal.

    Raises:
        InputError: it is damaged.
    """
    path = folder / NOTE
    try:
        content = read_object(path)
        if content is None and not path.is_symlink():
            return None
        if content is not None and "job" not in content and isinstance(content.get("address"), str):
            return None
        require_seal(content or {}, path)
        return Note.model_validate({k: v for k, v in (content or {}).items() if k != SEAL})
    except (ReportFault, ValidationError) as error:
        raise _damaged(folder) from error


def _damaged(folder: Path) -> InputError:
    return InputError(
        f"{folder / NOTE} is damaged, and it says what the job has written into the database. Put "
        f"it back from a backup, or take the fills back (rac fill undo {folder})"
    )


def note_of_run(folder: Path) -> Note | None:
    """Make a note out of what ``run.json`` says; None where that does not name the job."""
    options = read_json(folder / "run.json").get("options")
    if not isinstance(options, dict) or "job" not in options:
        return None
    try:
        return Note(
            address=options["postgres"],
            key=options["key"],
            job=options["job"],
            journal=options["journal"],
        )
    except (KeyError, ValidationError):
        return None


def was_database_run(folder: Path) -> bool:
    """Whether the folder holds, or held, a job on a database, whatever of it is left."""
    options = read_json(folder / "run.json").get("options")
    named = isinstance(options, dict) and "postgres" in options
    return named or any((folder / name).exists() for name in (NOTE, SNAPSHOT, LOG, STANDING))
