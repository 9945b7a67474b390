"""A table of a database as a table of ours: its columns read once, at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.session import session
from rac.attributes.postgres.shape import TableShape, read_shape
from rac.attributes.postgres.snapshot import needed_columns, write_snapshot
from rac.errors import InputError
from rac.tables import Table, open_table
from rac.tables.columns import DEFAULT_NAMES


def read_table(
    address: Address,
    path: Path,
    *,
    wanted: Sequence[str] | None = None,
    image: str | None = None,
    key: str | None = None,
    base: Path | None = None,
) -> Table:
    """Read a table in a read-only transaction; nothing of the database is changed.

    Args:
        address: of the table.
        path: the Parquet file to read it into.
        wanted: columns besides key and image; None for all that are not bytes.
        image: column of the images; found by its name if None, where there is one.
        key: column that names a row; the primary key if None.
        base: folder that relative image paths start from.

    Raises:
        InputError: there is no such table or column.
        JobFailed: the server does not let us in.
    """
    with session(address, "reading the table") as connection:
        connection.read_only = True
        shape = read_shape(connection, address, key)
        found = image or named_image(shape)
        if wanted is None:
            wanted = [name for name, kind in shape.types.items() if kind != "bytea"]
        columns = needed_columns(shape, [*([found] if found else []), *wanted], address)
        write_snapshot(connection, shape, columns, path)
    return open_snapshot(address, path, found, shape.key, base)


def open_snapshot(
    address: Address, path: Path, image: str | None, key: str, base: Path | None
) -> Table:
    """Open what was read of a table, under the name of its address."""
    table = open_table(path, image=image, id=key)
    table.source = str(address)
    table.base = base
    return table


def named_image(shape: TableShape) -> str | None:
    """Give the column that is called as columns of images are; None where there is none."""
    folded = {name.casefold(): name for name in shape.types}
    return next((folded[one] for one in DEFAULT_NAMES["image"] if one in folded), None)


def image_column(shape: TableShape, image: str | None, address: Address) -> str:
    """Give the column of the images.

    Raises:
        InputError: it is not named, and none is called so.
    """
    found = image or named_image(shape)
    if found is None:
        raise InputError(
            f"{address}: which column is the image? Say it with --image; the columns are: "
            f"{', '.join(map(repr, shape.types))}"
        )
    return found
