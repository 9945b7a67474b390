"""What a user names as a table, to be looked at and not changed: a file, or one in a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rac.attributes.postgres.address import Address, is_address
from rac.attributes.postgres.reading import read_table
from rac.tables import Table, open_table


@contextmanager
def opened_table(
    source: str,
    *,
    wanted: Sequence[str] | None = None,
    image: str | None = None,
    id: str | None = None,
    base: Path | None = None,
) -> Iterator[Table]:
    """Give a table for the length of the block; nothing is written to where it comes from.

    Args:
        source: what :func:`rac.tables.open_table` takes, or an address in PostgreSQL. Of a
            database the table is read as it is at one moment.
        wanted: of a database, the columns to read besides key and image; None for all.
        image: column with the images.
        id: column with ids.
        base: of a database, the folder that relative image paths start from.

    Raises:
        InputError: there is nothing of that name, or a column is not there.
        JobFailed: the server does not let us in.
    """
    if not is_address(source):
        yield open_table(source, image=image, id=id)
        return
    with TemporaryDirectory(prefix="rac-table-") as folder:
        path = Path(folder) / "table.parquet"
        yield read_table(Address.parse(source), path, wanted=wanted, image=image, key=id, base=base)
