"""The pictures of a table's rows: files by reference, and images that lie in cells by id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from eval.thumbnails import ImageDecoder, ImageReader, Thumbnail, make_thumbnail

StoredImages = Callable[[str, Collection[str]], Mapping[str, bytes]]
"""Gives the images of rows by id, from the table of that name whose cells hold the images; rows
that are not found are left out."""


@dataclass(frozen=True)
class Album:
    """Makes thumbnails of the rows of one table.

    Attributes:
        read: gives the bytes of an image reference.
        held: the images of rows without a reference, by id.
        decode: makes a picture of the bytes.
    """

    read: ImageReader
    held: Mapping[str, bytes]
    decode: ImageDecoder

    def thumbnail(self, id: str, reference: str | None, side: int) -> Thumbnail:
        """Make a row's thumbnail; see :func:`eval.thumbnails.make_thumbnail`."""
        if not reference and id in self.held:
            return make_thumbnail(id, self.held.__getitem__, side, self.decode)
        return make_thumbnail(reference, self.read, side, self.decode)


def open_album(
    rows: Iterable[tuple[str, str | None]],
    read: ImageReader,
    table: str | None,
    stored: StoredImages | None,
    decode: ImageDecoder,
) -> Album:
    """Get ready to show rows.

    Args:
        rows: id and image reference of every row that will be shown.
        read: gives the bytes of an image reference.
        table: that the rows come from, as the user named it; None where unknown.
        stored: looks images without a reference up in the table, once for all rows.
        decode: makes a picture of an image's bytes.
    """
    missing = {id for id, reference in rows if not reference}
    if not missing or table is None or stored is None:
        return Album(read, {}, decode)
    return Album(read, stored(table, missing), decode)
