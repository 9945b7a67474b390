"""Images that lie in a table's cells, looked up by the ids of their rows."""

from __future__ import annotations

from collections.abc import Collection

from rac.errors import InputError, JobFailed
from rac.tables import Table, open_table


def stored_images(source: str, ids: Collection[str], *, id: str | None = None) -> dict[str, bytes]:
    """Read the images of a few rows of a table whose image cells hold bytes.

    The table is read from its start until all rows are found. A hub's table is not opened, since
    that could fetch it; nor does a table that has gone stop a report for want of pictures.

    Args:
        source: the table, as :func:`rac.tables.open_table` takes it.
        ids: of the rows.
        id: column with the ids; None for the first that is called like one.

    Returns:
        Encoded images by id; rows that are not there, or whose cell holds no bytes, are left out.
    """
    if source.startswith("hub:"):
        return {}
    try:
        return images_in(open_table(source, id=id), ids)
    except (InputError, JobFailed):
        return {}


def images_in(table: Table, ids: Collection[str]) -> dict[str, bytes]:
    """Read the images of a few rows of an open table, as :func:`stored_images` does.

    Raises:
        InputError, JobFailed: the table cannot be read to the end.
    """
    found: dict[str, bytes] = {}
    for batch in table.batches():
        for item in table.items(batch):
            if item.id in ids and isinstance(item.image, bytes):
                found.setdefault(item.id, item.image)
        if len(found) == len(ids):
            break
    return found
