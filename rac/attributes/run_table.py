"""The table that a run was about, opened again."""

from __future__ import annotations

from pathlib import Path

from rac.attributes.run_folder import RunFolder
from rac.errors import InputError
from rac.tables import Table, open_table


def table_of_run(folder: RunFolder) -> Table:
    """Open a run's table as the run had it; of a database, the snapshot in the run's folder.

    Raises:
        InputError: there is no finished run, its record is damaged, or its table is not where it
            was.
    """
    run = folder.record()
    options = run.options
    if options.postgres is not None:
        snapshot = folder.path / "snapshot.parquet"
        if not snapshot.exists():
            raise InputError(
                f"{folder.path}: the run was taken back, and what it had read of {run.table} "
                "went with it; fill again to look at it"
            )
        table = open_table(snapshot, image=options.image, id=options.key)
        table.base = Path(options.base) if options.base else None
        return table
    return open_table(run.table, image=options.image, id=options.id)
