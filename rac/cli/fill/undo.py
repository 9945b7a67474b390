"""``rac fill undo``: the table as it was before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import JournalSchemaOption, JsonOption, print_json


def undo(
    run: Annotated[
        str,
        typer.Argument(
            help="Folder of a run of `rac fill`; or, where that is lost, "
            "postgresql://HOST/DATABASE?table=TABLE."
        ),
    ],
    filled: Annotated[
        Path | None,
        typer.Option(help="The filled copy, where it is elsewhere now or was worked on since."),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Of a database, only the cells of this column.", metavar="COLUMN"),
    ] = None,
    journal_schema: JournalSchemaOption = None,
    json: JsonOption = False,
) -> None:
    """Give back the table before a run: every cell that the run wrote, as it was.

    Of a file, restored.* is written beside the filled copy. In a database the cells are set back
    where they are, by its journal; an address in place of the folder takes back all fills that the
    journal has of that table. A cell that somebody has changed since the run stays as it is.

    Example:

        rac fill undo runs/products
    """
    from rac.attributes.postgres.address import Address, is_address
    from rac.attributes.postgres.note import was_database_run
    from rac.attributes.postgres.undo import TakenBack, undo_postgres, undo_table
    from rac.attributes.run_folder import RunFolder
    from rac.attributes.undo import undo_fill
    from rac.errors import InputError

    taken: TakenBack | None = None
    if is_address(run):
        taken = undo_table(Address.parse(run), journal_schema)
    elif journal_schema is not None:
        raise InputError("--journal-schema is for an address in place of a run's folder")
    elif not Path(run).is_dir():
        raise InputError(f"{run}: there is no such folder")
    else:
        with RunFolder.locked(Path(run)) as folder:
            if was_database_run(folder.path):
                taken = undo_postgres(folder, column)
            elif column is not None:
                raise InputError("--column is for runs on a database")
            else:
                undone = undo_fill(folder, filled)
    if taken is not None:
        result = {"table": taken.table, "cells": taken.cells, "kept": taken.kept}
        said = f"{taken.cells:,} cells set back in {taken.table}"
        if taken.already:
            said = f"{run}: nothing of it is in {taken.table}: it was taken back, or never written"
        kept = taken.kept
    else:
        result = {"file": undone.file, "cells": undone.cells, "kept": undone.kept}
        said = f"{undone.file}: {undone.cells:,} cells as they were before"
        kept = undone.kept
    if kept:
        said += f"; {kept:,} were changed since the run and stay"
    if json:
        print_json(result)
    else:
        typer.echo(said)
