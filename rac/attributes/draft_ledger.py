"""A ledger while it is made: a folder of parts, and what vouches for them.

Each part has the decisions of one stretch of the table's rows, written whole; a part that is there
is never written again. ``key.json`` says which decisions these are, has the SHA-256 of each part,
and is sealed itself, so that a job that was killed goes on from parts that are whole, or makes them
again. At the end the parts become the row groups of one file, in order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from eval.errors import ReportFault
from eval.run_record import FileStamp
from eval.sealed_json import SEAL, read_object, require_seal, seal
from rac.attributes.ledger import FORMAT_VERSION, LEDGER_SCHEMA, METADATA_KEY, Ledger
from rac.errors import InputError
from rac.unfinished import private_folder, remove_made
from retrieval_index.files import replace_file, sha256_file

_NOTE = "key.json"
_PART = re.compile(r"part-\d{6}\.parquet")
_MADE = re.compile(rf"{_PART.pattern}|key\.json|\.(?:{_PART.pattern}|key\.json)\.\w+\.part")
_ROWS_IN_GROUP = 1 << 40


class DraftNote(BaseModel):
    """What ``key.json`` says.

    Attributes:
        version: 1 for older releases, which wrote key and time alone.
        key: hash of what the decisions follow from.
        created: time of the decisions, ISO 8601.
        parts: SHA-256 of each part, in order.
        writing: the filled copy may be that of these decisions already.
        ledger: stamp of the file that was made of the parts, noted before it takes its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1, 2] = 1
    key: str
    created: str
    parts: tuple[str, ...] = ()
    writing: bool = False
    ledger: FileStamp | None = None


class DraftLedger(Ledger):
    """The folder of a ledger that is being made; ``path`` is the folder."""

    @property
    def _note_path(self) -> Path:
        return self.path / _NOTE

    def note(self) -> DraftNote | None:
        """Read what the drafts are; None where none were begun.

        Raises:
            InputError: that cannot be known any more; the message names the file.
        """
        path = self._note_path
        try:
            content = read_object(path)
            if content is None:
                if self._numbers():
                    raise InputError(f"{path}: it is missing")
                return None
            if "version" in content or SEAL in content:
                require_seal(content, path)
            return DraftNote.model_validate({k: v for k, v in content.items() if k != SEAL})
        except ReportFault as fault:
            raise InputError(str(fault)) from fault
        except ValidationError as fault:
            raise InputError(f"{path}: it is damaged: {fault.errors()[0]['msg']}") from fault

    def open(self, key: str, created: str) -> list[str]:
        """Go on with drafts of this key; others are thrown away.

        Returns:
            What of drafts with this key was damaged and has to be made again, in words.
        """
        damaged: list[str] = []
        try:
            noted = self.note()
        except InputError as fault:
            noted = None
            damaged.append(str(fault))
        if noted is None or noted.key != key:
            remove_made(self.path, _MADE)
            private_folder(self.path)
            self._write(DraftNote(version=2, key=key, created=created))
            return damaged
        whole: list[str] = []
        for number in self._numbers():
            path = self._part(number)
            # Older releases wrote no digests: what they left is taken as it is.
            vouched = noted.version == 1 or number < len(noted.parts)
            digest = _digest(path)
            if number == len(whole) and vouched and noted.version == 2:
                vouched = noted.parts[number] == digest
                if not vouched:
                    damaged.append(f"{path}: its bytes are not those that were written")
            if number == len(whole) and vouched and digest is not None:
                whole.append(digest)
            else:
                path.unlink()
        lost = len(noted.parts) - len(whole)
        if lost > 0 and not damaged:
            damaged.append(f"{self._part(len(whole))}: it is missing")
        self._write(
            DraftNote(
                version=2,
                key=key,
                created=noted.created,
                parts=tuple(whole),
                writing=noted.writing,
                ledger=noted.ledger,
            )
        )
        return damaged

    def require_whole(self) -> None:
        """Refuse drafts of which a part is missing or damaged.

        Raises:
            InputError: so it is; the message names the file.
        """
        noted = self.note()
        for number, digest in enumerate(() if noted is None else noted.parts):
            path = self._part(number)
            if _digest(path) != digest:
                raise InputError(f"{path}: it is missing, or its bytes are not those written")

    def parts(self) -> list[int]:
        """Give the numbers of the parts that are there, ascending."""
        return self._numbers()

    def read(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the decisions of one stretch of rows, or some of their columns."""
        return Ledger(self._part(number)).read(0, columns)

    def metadata(self) -> dict[str, Any]:
        """Give nothing: drafts say what they are by :meth:`note`."""
        return {}

    def write_part(self, number: int, batches: Sequence[pa.RecordBatch]) -> None:
        """Write the decisions of one stretch of rows, whole or not at all.

        Args:
            number: of the part, the next one; the rows are those from ``number * PART_ROWS`` on.
            batches: in ``LEDGER_SCHEMA``.
        """
        with replace_file(self._part(number)) as draft:
            table = pa.Table.from_batches(list(batches), LEDGER_SCHEMA)
            pq.write_table(table, draft, compression="lz4", row_group_size=_ROWS_IN_GROUP)
            digest = sha256_file(draft)
        noted = self._known()
        self._write(noted.model_copy(update={"parts": (*noted.parts[:number], digest)}))

    def mark_writing(self, writing: bool) -> None:
        """Note whether the filled copy may be that of these decisions already."""
        self._write(self._known().model_copy(update={"writing": writing}))

    def publish(self, path: Path, metadata: Mapping[str, Any]) -> FileStamp:
        """Make one file of the parts, whole or not at all; give its stamp.

        Args:
            path: the file.
            metadata: what the decisions rest on: encoder, schema, time.
        """
        noted = json.dumps({"version": FORMAT_VERSION, **metadata})
        schema = LEDGER_SCHEMA.with_metadata({METADATA_KEY: noted.encode()})
        with replace_file(path) as draft:
            with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
                for number in self.parts():
                    part = self.read(number).replace_schema_metadata(schema.metadata)
                    writer.write_table(part.unify_dictionaries(), row_group_size=_ROWS_IN_GROUP)
            stamp = FileStamp.of(draft)
            self._write(self._known().model_copy(update={"ledger": stamp}))
        return stamp

    def remove(self) -> None:
        """Remove the drafts, once the run's record is written."""
        remove_made(self.path, _MADE)

    def _known(self) -> DraftNote:
        noted = self.note()
        if noted is None:
            raise InputError(f"{self._note_path}: it is missing; run the job again")
        return noted

    def _write(self, note: DraftNote) -> None:
        with replace_file(self._note_path) as draft:
            text = json.dumps(seal(note.model_dump(mode="json")), indent=2)
            draft.write_text(text + "\n", encoding="utf-8")

    def _numbers(self) -> list[int]:
        if not self.path.is_dir():
            return []
        names = (entry.name for entry in self.path.iterdir())
        return sorted(int(name[5:11]) for name in names if _PART.fullmatch(name))

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"


def _digest(path: Path) -> str | None:
    """The SHA-256 of a file; None where it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return None
