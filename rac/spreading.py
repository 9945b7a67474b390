"""Scores of images, helped by the other images of the same table.

What names say of one photo is noisy, and photos of one thing lie near each other in the trunk
features. So every image's scores are averaged with those of its neighbours, and theirs with those
of their neighbours (Zhou et al., Learning with Local and Global Consistency, NeurIPS 2003). Names
that attract images of everything are held back before. No label plays a part.

Letters of shapes: N images, C classes, T dimensions of the trunk features, K neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from rac.branches.base import log_softmax
from rac.encoders.base import FloatArray
from rac.progress import progress_bar
from retrieval_index.arrays import unit_norm
from retrieval_index.flat import not_itself
from retrieval_index.lookup import Lookup
from retrieval_index.manifest import IndexPlan
from retrieval_index.neighbours import Neighbours
from retrieval_index.stack import Stack
from retrieval_index.tuning import build_index

_MOST_NEIGHBOURS = 20
# What an image keeps of its own scores; the rest comes from its neighbours.
_OWN = 0.05
_ROUNDS = 30
# Between 0, which takes a name's share of all images as it is, and 1, which takes all names to be
# equally frequent.
_EVENNESS = 0.25
_CLOSENESS = 3
_EXACT_ROWS = 65_536
_BLOCK = 4096


def spread_scores(
    scores: FloatArray, features: FloatArray, logit_scale: float, *, progress: bool = False
) -> FloatArray:
    """Spread scores over images that look alike.

    Each image has as many neighbours as a class has images on average, at most 20: with fewer
    images than classes there is nothing to spread.

    Args:
        scores: (N, C) cosines with the classes' prompts.
        features: (N, T) trunk features, any norm.
        logit_scale: the encoder's factor on cosines.
        progress: whether a progress bar is shown.

    Returns:
        (N, C) float32, the classes' shares: not negative, rows sum to 1.
    """
    shares = np.exp(log_softmax(logit_scale * scores)).astype(np.float32)
    images, classes = shares.shape
    neighbours = min(_MOST_NEIGHBOURS, images // classes)
    if neighbours == 0:
        return shares
    evened = shares / _frequency(shares) ** _EVENNESS
    links = _mutual_links(features, neighbours, progress)
    spread = evened
    for _ in range(_ROUNDS):
        spread = _OWN * evened + (1 - _OWN) * (links @ spread)
    found: FloatArray = (spread / spread.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def _frequency(shares: FloatArray) -> FloatArray:
    """Give the (C,) mean shares, as if each class had been seen once more."""
    images, classes = shares.shape
    return np.asarray((shares.sum(axis=0) + 1) / (images + classes), np.float32)


def _mutual_links(features: FloatArray, neighbours: int, progress: bool) -> Any:
    """Give (N, N) sparse weights between images that are among each other's neighbours.

    Scaled from both sides, so that an image which many are near does not speak for all of them.
    """
    from scipy.sparse import csr_array, diags_array  # type: ignore[import-untyped]

    images = len(features)
    unit = unit_norm(features - features.mean(axis=0))
    found = _nearest(unit, neighbours, progress)
    # No row is -1 with a score of -inf: a link of no weight.
    near = found.scores.clip(min=0.0) ** _CLOSENESS
    ends = np.arange(images + 1) * neighbours
    links = csr_array((near.ravel(), found.rows.clip(min=0).ravel(), ends), shape=(images, images))
    mutual = links.minimum(links.T)
    reach = np.asarray(mutual.sum(axis=1)).ravel()
    scale = diags_array(1 / np.sqrt(np.where(reach > 0, reach, 1.0)))
    return scale @ mutual @ scale


def _nearest(unit: FloatArray, neighbours: int, progress: bool) -> Neighbours:
    """Find the nearest other images of every image."""
    lookup = _lookup(unit)
    answer = Neighbours.none(len(unit), neighbours)
    with progress_bar("images alike", len(unit), shown=progress) as advance:
        for start in range(0, len(unit), _BLOCK):
            asked = np.arange(start, min(start + _BLOCK, len(unit)))
            found = lookup.search(
                unit[asked], neighbours, excluded=not_itself(asked), expect_excluded=1
            )
            answer.scores[asked], answer.rows[asked] = found.scores, found.rows
            advance(len(found))
    return answer


def _lookup(unit: FloatArray) -> Lookup:
    ids = pa.chunked_array([np.arange(len(unit)).astype(str)])
    exact = Lookup(Stack([unit]), ids, None, None)
    if len(unit) <= _EXACT_ROWS:
        return exact
    return Lookup(exact.searchable, ids, None, build_index(exact, IndexPlan(), force=True))
