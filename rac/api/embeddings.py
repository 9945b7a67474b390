"""Embeddings of images, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from rac.api.faults import as_input_errors
from rac.api.given import ColumnNames, Data, named_encoder, opened_cache, take
from rac.embedding import Features, collect_features, embed_table
from rac.encoders.base import FloatArray

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N images in D dimensions of the joint space and T of the trunk.

    ``numpy.asarray`` gives the vectors.

    Attributes:
        ids: N ids; row numbers where the table has no column of ids.
        vectors: (N, D) float32, unit norm; NaN where the image is bad.
        trunk: (N, T) float32, not normalised; NaN likewise.
        reasons: N reasons, each None or ``<reason>: <detail>`` of a bad image.
        hashes: N SHA-256 of the images' bytes, None where there were none to read.
        encoder: identity of what embedded them.
    """

    ids: list[str]
    vectors: FloatArray
    trunk: FloatArray
    reasons: list[str | None]
    hashes: list[str | None]
    encoder: str

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each image could be read."""
        return np.array([reason is None for reason in self.reasons], np.bool_)

    def __len__(self) -> int:
        return len(self.ids)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Give the (N, D) vectors."""
        return np.array(self.vectors, dtype=dtype, copy=copy)


@as_input_errors()
def embed(
    data: Data,
    encoder: str | Encoder = "mini",
    *,
    limits: ImageLimits | None = None,
    max_bad: float | None = None,
    cache: bool = True,
    batch_size: int = 64,
    progress: bool = True,
    **columns: Unpack[ColumnNames],
) -> Embeddings:
    """Embed images of any origin.

    Args:
        data: a DataFrame (pandas, polars), a ``datasets.Dataset``, anything that gives itself as
            Arrow, a sequence of images (paths, URLs, bytes, pictures of PIL, uint8 arrays), or the
            name or path of a table as :func:`rac.open_table` takes it.
        encoder: its name (see :func:`rac.load_encoder`), or a loaded one.
        limits: bounds on images, and the folders that paths may point into
            (``rac.images.ImageLimits(roots=...)``).
        max_bad: give up when more than this share of the images, 0 to 1, is bad; None for never.
        cache: whether known embeddings are looked up on disk, and new ones kept.
        batch_size: images in one forward pass.
        progress: whether a progress bar is shown.
        columns: ``image`` and ``id``, where they are not called so.

    Raises:
        InputError: the data cannot be read, a column is not there, or there is no such encoder.
        JobFailed: too many bad images.

    >>> import rac
    >>> from PIL import Image
    >>> pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    >>> found = rac.embed([*pictures, b"no image"], progress=False)
    >>> found.vectors.shape, found.ok.tolist(), found.reasons[2]
    ((3, 704), [True, True, False], 'not-an-image: this is text')
    """
    given = take(data, limits, columns)
    given.table.require("image")
    network = named_encoder(encoder)
    with opened_cache(network, cache) as known:
        batches = embed_table(
            given.table,
            network,
            batch_size=batch_size,
            max_bad=max_bad,
            cache=known,
            limits=given.limits,
            progress=progress,
        )
        found = collect_features(batches, network)
    return Embeddings(
        ids=[item.id for item in found.items],
        vectors=blanked(found.embedding, found),
        trunk=blanked(found.trunk, found),
        reasons=found.reasons,
        hashes=found.hashes,
        encoder=network.identity,
    )


def blanked(vectors: FloatArray, found: Features) -> FloatArray:
    """Put NaN into the rows of bad images: zeros could be taken for something that was seen."""
    vectors[~found.ok] = np.nan
    return vectors
