"""The record of a fill run, ``run.json``: it vouches for itself and for the ledger beside it.

A record of version 2 is sealed (see :mod:`eval.sealed_json`) and holds length and SHA-256 of
``ledger.parquet``; it is written last, so a ledger that it does not vouch for is either damaged or
of a job that was ended in between, whose drafts then still lie in ``.ledger``. Records of version
1, which say no version, have neither digest and are read as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval.errors import ReportFault
from eval.sealed_json import SEAL, read_object, require_seal
from retrieval_index.files import sha256_file

RECORD = "run.json"
LEDGER = "ledger.parquet"
DRAFTS = ".ledger"
RECORD_VERSION = 2

PUT_BACK = "only with it is it known which cells the run has written: put it back from a backup"
"""What to do about a record that is missing or damaged."""


class FileStamp(BaseModel):
    """What tells a file from a damaged one.

    Attributes:
        bytes: its length.
        sha256: of its bytes, in hexadecimal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Take the stamp of a file."""
        return cls(bytes=path.stat().st_size, sha256=sha256_file(path))

    def fault(self, path: Path) -> str | None:
        """Say why a file is not the one that was stamped; None where it is.

        Nothing of the file is interpreted.
        """
        try:
            size = path.stat().st_size
            if not path.is_file():
                return "something else than a file is in its place"
            if size != self.bytes:
                return f"it has {size:,} bytes, and had {self.bytes:,} when it was written"
            if sha256_file(path) != self.sha256:
                return "its bytes are not those that were written (another SHA-256)"
        except FileNotFoundError:
            return "it is missing"
        except OSError as fault:
            return f"it cannot be read: {fault.strerror or fault}"
        return None


class AttributeFigures(BaseModel):
    """What a summary says of one attribute, as far as readers of a run need it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    judged_above: int
    judged_right: int


class RunSummary(BaseModel):
    """What a run did, as far as readers of a run need it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    attributes: dict[str, AttributeFigures]
    files: dict[str, str]
    new_columns: list[str]


class RunOptions(BaseModel):
    """How a run was asked for, as far as readers of a run need it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    image: str | None = None
    id: str | None = None
    postgres: str | None = None
    key: str | None = None
    base: str | None = None


class RunRecord(BaseModel):
    """What ``run.json`` says; further keys are kept, so that other releases' records are read.

    Attributes:
        version: of the record's format; 1 where it says none.
        key: hash of what the decisions follow from.
        table: that was filled, by a name that works from everywhere.
        encoder: its name.
        encoder_identity: its identity.
        schema_hash: of the schema's meaning.
        schema_content: the schema, as plain data; ``schema`` in the file.
        memory: digest of the rows.
        created: time of the decisions, ISO 8601.
        options: how the run was asked for.
        summary: what it did.
        ledger: stamp of the ledger; None in version 1.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    version: Literal[1, 2] = 1
    key: str
    table: str
    encoder: str
    encoder_identity: str
    schema_hash: str
    schema_content: dict[str, Any] = Field(alias="schema")
    memory: str
    created: str
    options: RunOptions
    summary: RunSummary
    ledger: FileStamp | None = None


def read_record(folder: Path) -> tuple[RunRecord, dict[str, Any]] | None:
    """Read the record of a run.

    Args:
        folder: of the run.

    Returns:
        What is to be relied on, and all that the file says; None where there is no record.

    Raises:
        ReportFault: it is damaged, or of a format that this release does not know.
    """
    path = folder / RECORD
    content = read_object(path)
    if content is None:
        return None
    version = content.get("version", 1)
    # Either key tells that there is a seal, so that neither can be lost unseen.
    if version != 1 or SEAL in content:
        require_seal(content, path)
    if type(version) is int and version > RECORD_VERSION:
        raise ReportFault(
            f"{path}: it is of version {version}; this release reads {RECORD_VERSION} and older"
        )
    try:
        record = RunRecord.model_validate(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ReportFault(f"{path}: it is damaged: {place}: {first['msg']}") from fault
    if version != 1 and record.ledger is None:
        raise ReportFault(f"{path}: it is damaged: it does not say which ledger is its own")
    return record, content


def require_ledger(folder: Path, record: RunRecord | None) -> None:
    """Refuse a ledger that is missing, or that its run's record does not vouch for.

    Args:
        folder: of the run.
        record: of the run; None where there is none, so that only the ledger's being there is
            looked at.

    Raises:
        ReportFault: the ledger is missing or damaged; the message names it, and what to do.
    """
    path = folder / LEDGER
    fault = None
    if record is not None and record.ledger is not None:
        fault = record.ledger.fault(path)
    elif not path.is_file():
        fault = "something else than a file is in its place" if path.exists() else "it is missing"
    if fault is None:
        return
    if (folder / DRAFTS / "key.json").exists():
        raise ReportFault(
            f"{path}: {fault}. A job was ended while it wrote into {folder}; run the same "
            "`rac fill` again, and it goes on where it was"
        )
    raise ReportFault(f"{path}: {fault}; {PUT_BACK}")
