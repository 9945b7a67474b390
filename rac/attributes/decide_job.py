"""Deciding the cells of a whole job, part by part; what a killed job had decided is kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from rac.attributes.decide import Decider
from rac.attributes.ledger import PART_ROWS, Ledger
from rac.attributes.model.filler import Filler
from rac.attributes.prepare import FillOptions, Prepared, table_changed
from rac.attributes.run_folder import RunFolder
from rac.attributes.store import BATCH_ROWS, stretches
from rac.cores import usable_cores
from rac.progress import progress_bar
from rac.workers import single_threads


@dataclass(frozen=True)
class Decided:
    """The decisions of a job.

    Attributes:
        ledger: holds them, published or not.
        counts: how often each (attribute, decision) occurs.
        before: rows that an earlier run had decided.
    """

    ledger: Ledger
    counts: Counter[tuple[str, str]]
    before: int


def decide_all(
    job: Prepared, filler: Filler, folder: RunFolder, metadata: Mapping[str, Any]
) -> Decided:
    """Decide every cell, part by part; parts that an unfinished run has left are kept."""
    key = str(metadata["key"])
    counts: Counter[tuple[str, str]] = Counter()
    rows = len(job.store.ok)
    whole = range(-(-rows // PART_ROWS))
    if folder.stands(key) and folder.ledger.parts() == list(whole):
        for number in whole:
            counts.update(_counted(folder.ledger.read(number, ["attribute", "decision"])))
        return Decided(folder.ledger, counts, rows)
    drafts = folder.draft_ledger(key, str(metadata["created"]))
    there = [number for number in drafts.parts() if number in whole]
    # Parts are written in order, so those that are there are the first ones.
    start = len(there) * PART_ROWS
    for number in there:
        counts.update(_counted(drafts.read(number, ["attribute", "decision"])))
    decider = Decider(job.table, job.store, job.cells, filler)
    waiting: list[pa.RecordBatch] = []
    done = min(start, rows)
    with progress_bar("deciding", rows, shown=job.options.progress) as advance:
        advance(done)
        for count, decisions in _side_by_side(decider, job.options, start):
            waiting.extend(decisions)
            done += count
            advance(count)
            if done % PART_ROWS == 0 or done == rows:
                number = (done - 1) // PART_ROWS
                drafts.write_part(number, waiting)
                counts.update(_counted(pa.Table.from_batches(waiting)))
                waiting = []
                folder.note("deciding", rows=done, of=rows)
    if done != rows:
        raise table_changed(job.table)
    return Decided(drafts, counts, min(start, rows))


def _side_by_side(
    decider: Decider, options: FillOptions, start: int
) -> Iterator[tuple[int, list[pa.RecordBatch]]]:
    """Give for each stretch of rows, in order, how many they are and what was decided of them."""
    workers = options.workers or usable_cores()
    waiting: deque[tuple[int, Future[list[pa.RecordBatch]]]] = deque()
    table, rows = decider.table, len(decider.store.ok)
    # Each thread works on its own stretch, so that none has to wait for the others' products.
    with single_threads(workers) as pool:
        for first, batch in stretches(table, BATCH_ROWS, start=start, limit=options.limit):
            if first + batch.num_rows > rows:
                raise table_changed(table)
            waiting.append((batch.num_rows, pool.submit(decider.decide, batch, first)))
            if len(waiting) > workers:
                count, decisions = waiting.popleft()
                yield count, decisions.result()
        for count, decisions in waiting:
            yield count, decisions.result()


def _counted(part: pa.Table) -> Counter[tuple[str, str]]:
    plain = pa.table(
        {name: part.column(name).cast(pa.string()) for name in ("attribute", "decision")}
    )
    counted = plain.group_by(["attribute", "decision"]).aggregate([([], "count_all")])
    return Counter(
        {(row["attribute"], row["decision"]): row["count_all"] for row in counted.to_pylist()}
    )
