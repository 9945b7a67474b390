"""The folder of one run: its lock, where the job is, and the files that say what it did."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rac.attributes.ledger import Ledger
from rac.attributes.store import StoredEmbeddings
from rac.errors import InputError
from rac.quarantine import Quarantined, write_quarantine
from rac.unfinished import held
from retrieval_index.files import replace_file

_SECONDS_BETWEEN_NOTES = 1.0


class RunFolder:
    """A run's folder, held by one job at a time; :meth:`locked` gives one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path / "ledger.parquet")
        self._drafts = path / ".ledger"
        self._noted = (0.0, "")

    @classmethod
    @contextmanager
    def locked(cls, path: Path) -> Iterator[RunFolder]:
        """Hold a folder, made where it is missing, for the length of the block.

        Raises:
            InputError: it cannot be made, or another job holds it.
        """
        with held(path, f"{path}: another job is writing into this folder"):
            for leftover in path.glob(".*.part"):
                # Of a job that was killed while it wrote a file.
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            yield cls(path)

    def note(self, stage: str, **where: Any) -> None:
        """Say in ``state.json`` where the job is; at most once a second within a stage."""
        now = time.monotonic()
        if stage == self._noted[1] and now - self._noted[0] < _SECONDS_BETWEEN_NOTES:
            return
        self._noted = (now, stage)
        write_json(self.path / "state.json", {"stage": stage, **where})

    def created(self, key: str) -> str | None:
        """Give the time of the decisions with this key, if they were begun before."""
        for noted in (read_json(self._drafts / "key.json"), self.ledger.metadata()):
            if noted.get("key") == key and isinstance(noted.get("created"), str):
                return str(noted["created"])
        return None

    def draft_ledger(self, key: str, created: str) -> Ledger:
        """Give the unfinished ledger with this key; another one is thrown away."""
        if read_json(self._drafts / "key.json").get("key") != key:
            shutil.rmtree(self._drafts, ignore_errors=True)
            self._drafts.mkdir()
            write_json(self._drafts / "key.json", {"key": key, "created": created})
        return Ledger(self._drafts)

    def publish_ledger(self, drafts: Ledger, metadata: Mapping[str, Any]) -> None:
        """Put the finished ledger into its place, if it is not there already."""
        if drafts is not self.ledger:
            drafts.publish(self.ledger.path, metadata)
        # Also those that a job left which was killed just after it had published.
        shutil.rmtree(self._drafts, ignore_errors=True)

    def write_quarantine(self, store: StoredEmbeddings) -> None:
        """Write the bad images: id, row (from 0), image, reason (a word), detail (a sentence)."""
        bad = (
            Quarantined(store.ids[row].as_py(), row, image, fault)
            for row, image, fault in store.bad
        )
        write_quarantine(self.path / "quarantine.csv", bad)

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Write ``run.json``, and ``summary.json`` with its summary alone."""
        write_json(self.path / "run.json", run)
        write_json(self.path / "summary.json", run["summary"])

    def run(self) -> dict[str, Any]:
        """Read ``run.json``.

        Raises:
            InputError: there is no finished run here.
        """
        run = read_json(self.path / "run.json")
        if "schema" not in run:
            raise InputError(f"{self.path}: no finished run of `rac fill` is in this folder")
        return run


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all; a NaN is refused."""
    with replace_file(path) as draft:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str)
        draft.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
