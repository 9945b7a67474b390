"""The folder of one run: its lock, where the job is, and the files that say what it did.

A folder that is made for a run is for its owner alone (0700), since it holds copies of the table's
cells; one that is there already keeps the mode that somebody gave it. In it the unfinished ledger
is private, and what is handed on (the filled copy, the ledger, pages, CSV files) has the mode that
the user's umask gives every file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eval.errors import ReportFault
from eval.run_record import (
    LEDGER,
    PUT_BACK,
    RECORD,
    RECORD_VERSION,
    FileStamp,
    RunRecord,
    read_record,
    require_ledger,
)
from eval.sealed_json import read_object, seal
from rac.attributes.draft_ledger import DraftLedger, DraftNote
from rac.attributes.ledger import Ledger
from rac.attributes.store import StoredEmbeddings
from rac.errors import InputError
from rac.quarantine import Quarantined, write_quarantine
from rac.unfinished import held, private_folder
from retrieval_index.files import DRAFT_ENDING, replace_file

_SECONDS_BETWEEN_NOTES = 1.0
RUN_FILES = (
    RECORD,
    LEDGER,
    "summary.json",
    "state.json",
    "quarantine.csv",
    "audit.csv",
    "explain.html",
    "postgres.json",
    "snapshot.parquet",
    "snapshot-now.parquet",
    "standing.parquet",
    "written.parquet",
)
"""Files of a run's folder that jobs write, besides the filled and the restored copy."""
_WRITTEN_LIKE = r"(?:filled|restored)(?:\.[^./]+)?"
# What `replace_file` and `replace_folder` leave of a job that was killed while it wrote.
_LEFTOVER = re.compile(
    rf"\.(?:{'|'.join(map(re.escape, RUN_FILES))}|{_WRITTEN_LIKE}){DRAFT_ENDING}"
)
_FILLED = re.compile(r"filled(?:\.[^./]+)?")


class RunFolder:
    """A run's folder, held by one job at a time; :meth:`locked` gives one.

    Attributes:
        path: of the folder.
        ledger: of the last finished run; whether it is whole is for :meth:`whole_ledger` to say.
        damaged: what of earlier jobs was damaged and is made anew, in words.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path / LEDGER)
        self.damaged: list[str] = []
        self._drafts = DraftLedger(path / ".ledger")
        self._stamp: FileStamp | None = None
        self._noted = (0.0, "")
        self._was_done = False

    @classmethod
    @contextmanager
    def locked(cls, path: Path) -> Iterator[RunFolder]:
        """Hold a folder, made where it is missing, for the length of the block.

        Raises:
            InputError: it cannot be made, another job holds it, or something else than a file is
                in the place of one that a run writes.
        """
        private_folder(path)
        with held(path, f"{path}: another job is writing into this folder"):
            folder = cls(path)
            folder._refuse_odd_places()
            folder._remove_leftovers()
            folder._was_done = folder._says_done()
            yield folder

    def _refuse_odd_places(self) -> None:
        """Refuse at once what would end the job when it writes, or lead it out of its folder."""
        for name in RUN_FILES:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                raise InputError(f"{path}: a folder is in the place of a file; move it away")
        if self._drafts.path.is_symlink():
            raise InputError(
                f"{self._drafts.path}: a link is in the place of a folder that jobs clean; "
                "remove the link"
            )

    def _remove_leftovers(self) -> None:
        """Remove what a job left that was killed while it wrote; never a link, nor what is alike
        called by somebody else.
        """
        for entry in self.path.iterdir():
            if not _LEFTOVER.fullmatch(entry.name) or entry.is_symlink():
                continue
            if entry.is_file():
                entry.unlink()
            elif entry.is_dir() and _is_data_set(entry):
                shutil.rmtree(entry)

    def note(self, stage: str, **where: Any) -> None:
        """Say in ``state.json`` where the job is; at most once a second within a stage."""
        now = time.monotonic()
        if stage == self._noted[1] and now - self._noted[0] < _SECONDS_BETWEEN_NOTES:
            return
        self._noted = (now, stage)
        # That a run was finished here stays known while a next one is under way.
        done = {"finished_before": True} if self._was_done else {}
        write_json(self.path / "state.json", {"stage": stage, **where, **done})

    def created(self, key: str) -> str | None:
        """Give the time of the decisions with this key, if they were begun before."""
        for noted in (self._drafted(), self._recorded()):
            if noted is not None and noted.key == key:
                return noted.created
        return None

    def draft_ledger(self, key: str, created: str) -> DraftLedger:
        """Give the unfinished ledger with this key; another one is thrown away."""
        self.damaged += self._drafts.open(key, created)
        return self._drafts

    def stands(self, key: str) -> bool:
        """Say whether the ledger is whole, and that of the decisions with this key.

        What is damaged of a run with this key can be made again, and is said in ``damaged``.
        """
        drafted = self._drafted()
        published = drafted.ledger if drafted is not None and drafted.key == key else None
        if published is not None and published.fault(self.ledger.path) is None:
            # Of a job that was ended before it could write its record.
            self._stamp = published
            return True
        try:
            found = read_record(self.path)
        except ReportFault as damage:
            self.damaged.append(str(damage))
            return False
        if found is None or found[0].key != key:
            if drafted is None and self._unvouched_fault(key) is None:
                # The ledger is there, and what vouched for it is not.
                self.damaged.append(f"{self.path / RECORD}: it is missing, or another run's")
            return False
        stamp = found[0].ledger
        fault = self._unvouched_fault(key) if stamp is None else stamp.fault(self.ledger.path)
        if fault is not None:
            self.damaged.append(f"{self.ledger.path}: {fault}")
            return False
        self._stamp = stamp
        return True

    def _unvouched_fault(self, key: str) -> str | None:
        """Say why a ledger is not that of these decisions, as far as it says itself."""
        try:
            if self.ledger.metadata().get("key") == key:
                self.ledger.parts()
                return None
        except InputError as fault:
            return str(fault)
        return "it is missing, or another run's"

    @contextmanager
    def writing(self, ledger: Ledger, target: Path) -> Iterator[None]:
        """Have a job that is killed in the block leave word that ``target`` may be written.

        From the moment in which the filled copy takes its place until the record is written, the
        record in the folder is that of the run before.

        Args:
            ledger: whose values are written.
            target: the filled copy.
        """
        if not isinstance(ledger, DraftLedger):
            yield
            return
        before = _state(target)
        ledger.mark_writing(True)
        try:
            yield
        except BaseException:
            if _state(target) == before:
                ledger.mark_writing(False)
            raise

    def publish_ledger(self, drafts: Ledger, metadata: Mapping[str, Any]) -> None:
        """Put the finished ledger into its place, if it is not there already."""
        if isinstance(drafts, DraftLedger):
            self._stamp = drafts.publish(self.ledger.path, metadata)

    def write_quarantine(self, store: StoredEmbeddings) -> None:
        """Write the bad images: id, row (from 0), image, reason (a word), detail (a sentence)."""
        bad = (
            Quarantined(store.ids[row].as_py(), row, image, fault)
            for row, image, fault in store.bad
        )
        write_quarantine(self.path / "quarantine.csv", bad)

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write ``run.json``, sealed and with the ledger's stamp, and ``summary.json`` beside it.

        The ledger must be in its place: what it is now is what the record vouches for, unless
        ``run`` is a record that was read and says so already.
        """
        stamp = run.get("ledger") or (self._stamp or FileStamp.of(self.ledger.path)).model_dump()
        content = json.loads(_dump({**run, "version": RECORD_VERSION, "ledger": stamp}))
        write_json(self.path / RECORD, seal(content))
        write_json(self.path / "summary.json", run["summary"])
        # Not before: until here they say how a job that is killed goes on.
        self._drafts.remove()

    def run(self) -> dict[str, Any]:
        """Give all that ``run.json`` says.

        Raises:
            InputError: there is no finished run here, or its record is damaged.
        """
        return self._finished()[1]

    def record(self) -> RunRecord:
        """Give what ``run.json`` says, as far as it is to be relied on.

        Raises:
            InputError: there is no finished run here, or its record is damaged.
        """
        return self._finished()[0]

    def whole_ledger(self) -> Ledger:
        """Give the ledger of the finished run.

        Raises:
            InputError: there is no finished run here, or its record or its ledger is missing or
                damaged.
        """
        record = self.record()
        with _as_input_error():
            require_ledger(self.path, record)
        return self.ledger

    def require_written(self) -> None:
        """Refuse a folder whose filled copy may be that of a job that was ended.

        Raises:
            InputError: so it is.
        """
        noted = self._drafts.note()
        if noted is not None and noted.writing:
            raise InputError(
                f"{self.path}: a job was ended while it wrote here, so the filled copy may be its "
                "own already; run the same `rac fill` again, and it goes on where it was"
            )

    def known_keys(self) -> set[str]:
        """Give what the decisions follow from that stand in this folder, as far as it is known."""
        found = {noted.key for noted in (self._drafted(), self._recorded()) if noted is not None}
        # Whether a ledger may be damaged is for `earlier_ledgers` to say.
        with suppress(InputError):
            found.add(str(self.ledger.metadata().get("key")))
        return found

    def earlier_ledgers(self, *, kept_elsewhere: bool = False) -> list[Ledger]:
        """Give the ledgers of all that earlier jobs in this folder may have written.

        Args:
            kept_elsewhere: the jobs' fills are also written down outside of this folder, so that a
                ledger may be missing.

        Raises:
            InputError: one is missing or damaged, so that this cannot be known.
        """
        try:
            with _as_input_error():
                read = read_record(self.path)
            record = None if read is None else read[0]
            drafted = self._drafts.note()
            found: list[Ledger] = []
            stamps = [
                noted.ledger
                for noted in (record, drafted)
                if noted is not None and noted.ledger is not None
            ]
            if os.path.lexists(self.ledger.path):
                faults = [stamp.fault(self.ledger.path) for stamp in stamps]
                if faults and None not in faults:
                    raise InputError(f"{self.ledger.path}: {faults[0]}")
                # Reading also says whether one that nothing vouches for is a ledger.
                self.ledger.parts()
                found.append(self.ledger)
            elif record is not None and not kept_elsewhere:
                raise InputError(f"{self.ledger.path}: it is missing")
            # Older releases did not say whether they were writing already.
            if drafted is not None and (drafted.writing or drafted.version == 1):
                stamp = drafted.ledger
                if stamp is None or stamp.fault(self.ledger.path) is not None:
                    self._drafts.require_whole()
                    found.append(self._drafts)
        except InputError as fault:
            raise InputError(
                f"{fault}. What was filled from {self.path} is not known without it, and fills "
                "must not be taken for known cells: put it back from a backup, or give another "
                "folder and the table as it was before"
            ) from fault
        if not found and not kept_elsewhere:
            self._refuse_traces()
        return found

    def _refuse_traces(self) -> None:
        """Refuse a folder that a run was finished in, as files say, and that has no record."""
        traces = [path for path in self.path.iterdir() if _FILLED.fullmatch(path.name)]
        traces += [self.path / "summary.json"] * (self.path / "summary.json").exists()
        if self._was_done:
            traces.append(self.path / "state.json")
        if traces:
            raise InputError(
                f"{traces[0]}: a run was finished in this folder, and neither {RECORD} nor "
                f"{LEDGER} is here to say what it filled: {PUT_BACK}; or give another folder "
                "and the table as it was before"
            )

    def _says_done(self) -> bool:
        """Whether ``state.json`` says that a run was finished here; damaged, it says nothing."""
        try:
            state = read_json(self.path / "state.json")
        except InputError:
            return False
        return state.get("stage") == "done" or state.get("finished_before") is True

    def _finished(self) -> tuple[RunRecord, dict[str, Any]]:
        with _as_input_error():
            found = read_record(self.path)
        if found is not None:
            return found
        said = f"{self.path}: no finished run of `rac fill` is in this folder"
        if (self._drafts.path / "key.json").exists():
            said += "; a job was ended here: run the same `rac fill` again, and it goes on"
        elif self.ledger.path.exists() or any(self.path.glob("filled*")):
            said += f": {self.path / RECORD} is missing; {PUT_BACK}"
        raise InputError(said)

    def _drafted(self) -> DraftNote | None:
        """What an unfinished ledger is; None also where that is not known any more."""
        try:
            return self._drafts.note()
        except InputError:
            return None

    def _recorded(self) -> RunRecord | None:
        """The record; None also where it is damaged."""
        try:
            found = read_record(self.path)
        except ReportFault:
            return None
        return None if found is None else found[0]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all; a NaN is refused."""
    with replace_file(path) as draft:
        draft.write_text(_dump(content) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no such file.

    Raises:
        InputError: the file is damaged; the message names it.
    """
    with _as_input_error():
        return read_object(path) or {}


def _dump(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # The name of a file need not be UTF-8; what stands for its bytes can only be escaped.
        return json.dumps(content, indent=2, allow_nan=False, default=str)
    return text


@contextmanager
def _as_input_error() -> Iterator[None]:
    try:
        yield
    except ReportFault as fault:
        raise InputError(str(fault)) from fault


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file or a folder is replaced; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_data_set(folder: Path) -> bool:
    """Whether a folder holds nothing but what a data set is written as."""
    return all(
        path.suffix in (".arrow", ".json") if path.is_file() else path.name == "data"
        for path in folder.rglob("*")
    )
