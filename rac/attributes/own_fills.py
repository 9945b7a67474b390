"""Fills that come back as if they had always been known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rac.attributes.ledger import Decision, Ledger
from rac.attributes.prepare import Prepared
from rac.attributes.run_folder import RunFolder
from rac.errors import InputError


def refuse_own_fills(job: Prepared, folder: RunFolder, *, kept_elsewhere: bool = False) -> None:
    """Refuse a table that holds what the folder's run before had filled in.

    Its fills would count as known cells, vouch for themselves, and no longer be in the ledger, so
    that nothing could take them back. A table in which somebody has since filled some of the same
    cells alike is taken: it is refused only where most fills are there. A folder in which it can
    not be known any more what was filled is refused, unless the cells are the very ones that the
    run before started from.

    Args:
        job: whose cells are read.
        folder: of the job, perhaps with an earlier run in it, or one that was ended.
        kept_elsewhere: earlier fills are also written down outside of the folder.

    Raises:
        InputError: most fills of a run before are in the table, or its record is missing or
            damaged.
    """
    if job.key in folder.known_keys():
        return
    for ledger in folder.earlier_ledgers(kept_elsewhere=kept_elsewhere):
        _refuse_fills_of(ledger, job, folder)


def _refuse_fills_of(ledger: Ledger, job: Prepared, folder: RunFolder) -> None:
    fills = held = 0
    for part in ledger.parts():
        lines = ledger.read(part, ["row", "id", "attribute", "decision", "value"])
        written = pc.equal(lines.column("decision").cast(pa.string()), Decision.FILLED.value)
        lines = lines.filter(written)
        attributes = lines.column("attribute").cast(pa.string())
        for name, codes in job.cells.codes.items():
            mine = lines.filter(pc.equal(attributes, name))
            rows = mine.column("row").to_numpy()
            inside = (rows >= 0) & (rows < len(codes))
            fills += len(rows)
            mine, rows = mine.filter(pa.array(inside)), rows[inside]
            vocabulary = job.cells.vocabularies[name]
            values = vocabulary.codes(mine.column("value").cast(pa.string()).to_pylist())
            same = pc.equal(job.store.ids.take(pa.array(rows)), mine.column("id"))
            held += int(((codes[rows] == values) & (values >= 0) & np.asarray(same)).sum())
    if 2 * held > fills:
        raise InputError(
            f"{job.table.source}: it holds {held:,} of the {fills:,} cells that the run in "
            f"{folder.path} has filled. Fill the table as it was before (rac fill undo "
            f"{folder.path} gives it back); or, where these fills are to count as known from now "
            "on, give another folder"
        )
