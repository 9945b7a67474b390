"""``rac fill undo``: the table as it was before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import JsonOption, print_json


def undo(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `rac fill`.")],
    filled: Annotated[
        Path | None,
        typer.Option(help="The filled copy, where it is elsewhere now or was worked on since."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Give back the table before a run: every cell that the run wrote, as it was.

    Of a file, restored.* is written beside the filled copy. In a database the cells are set back
    where they are. A cell that somebody has changed since the run stays as it is.

    Example:

        rac fill undo runs/products
    """
    from rac.attributes.postgres.job import undo_postgres
    from rac.attributes.run_folder import RunFolder
    from rac.attributes.undo import undo_fill

    with RunFolder.locked(run) as folder:
        noted = folder.run()
        if "postgres" in noted["options"]:
            cells = undo_postgres(folder, noted)
            result = {"table": noted["table"], "cells": cells}
            said = f"{cells:,} cells set back in {noted['table']}"
        else:
            undone = undo_fill(folder, filled)
            result = {"file": undone.file, "cells": undone.cells, "kept": undone.kept}
            said = f"{undone.file}: {undone.cells:,} cells as they were before"
            if undone.kept:
                said += f"; {undone.kept:,} were changed since the run and stay"
    if json:
        print_json(result)
    else:
        typer.echo(said)
