"""Rows of a memory judged by its other rows.

A metric that is fitted to labels has seen the rows that it is to judge: with more dimensions than
rows it can pull each class together whatever the images show, and the rows of a memory then look
classified without a fault. So a fitted metric is fitted again without the rows that it judges, in
five folds; a row's neighbours are then those outside its own fold. Near-duplicates share a fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rac.attributes.task.folds import assign_folds
from rac.branches.votes import class_balanced_votes
from retrieval_index import Memory, Neighbours
from retrieval_index.duplicate_groups import near_duplicate_groups

NEIGHBOURS = 10

_FOLDS = 5
_NEAR_DUPLICATE = 0.98
_MOST_FITTED_AGAIN = 65_536
_TEMPERATURE = 0.1
_GAMMA = 0.7
_SEED = 3
_BLOCK_ROWS = 2048


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Rows of a memory classified by the other rows.

    Attributes:
        rows: (Q,) the rows that were classified; each has a label.
        labels: Q labels, as the memory has them.
        predicted: Q labels, as the neighbours say; None where no neighbour has a label.
        neighbours: (Q, K) the neighbours, -1 where there are fewer.
    """

    rows: npt.NDArray[np.int64]
    labels: list[str]
    predicted: list[str | None]
    neighbours: Neighbours

    @property
    def accuracy(self) -> float | None:
        """Give the share classified right, in [0, 1]; None where there is nothing to classify."""
        right = [a == b for a, b in zip(self.labels, self.predicted, strict=True)]
        return float(np.mean(right)) if right else None


def classify_by_others(
    memory: Memory,
    *,
    k: int = NEIGHBOURS,
    near_duplicate: float | None = None,
    rows: npt.NDArray[np.int64] | None = None,
    folds: Mapping[str, int] | None = None,
) -> LeaveOneOut:
    """Classify rows by the class-balanced votes of their neighbours among the others.

    Args:
        memory: N rows.
        k: neighbours that vote.
        near_duplicate: raw cosine from which on a row must not vouch for another; None lets all.
        rows: the rows to classify; None takes all. Those without a label are left out.
        folds: see ``neighbours_among_others``.
    """
    labels = memory.labels
    names = sorted({label for label in labels if label is not None})
    code = {name: number for number, name in enumerate(names)}
    classes = np.array([-1 if label is None else code[label] for label in labels], dtype=np.int64)
    counts = np.bincount(classes[classes >= 0], minlength=len(names))
    asking = np.arange(len(memory)) if rows is None else rows
    asking = asking[classes[asking] >= 0]
    found = neighbours_among_others(
        memory, k, rows=asking, near_duplicate=near_duplicate, folds=folds
    )
    predicted: list[str | None] = []
    for start in range(0, len(asking), _BLOCK_ROWS):
        near = found.rows[start : start + _BLOCK_ROWS]
        voters: npt.NDArray[np.int64] = np.where(near >= 0, classes[near], -1)
        votes = class_balanced_votes(
            found.scores[start : start + _BLOCK_ROWS],
            voters,
            counts,
            temperature=_TEMPERATURE,
            gamma=_GAMMA,
        )
        voted: npt.NDArray[np.bool_] = np.any(voters >= 0, axis=1)
        predicted += [
            names[best] if any_voted else None
            for best, any_voted in zip(votes.argmax(axis=1), voted, strict=True)
        ]
    return LeaveOneOut(asking, [names[c] for c in classes[asking]], predicted, found)


def neighbours_among_others(
    memory: Memory,
    k: int,
    *,
    rows: npt.NDArray[np.int64],
    near_duplicate: float | None = None,
    folds: Mapping[str, int] | None = None,
) -> Neighbours:
    """Let rows search among the others, under a metric that has not seen them.

    Where the metric learns nothing (cosine), or from so many rows that one hardly matters
    (more than 65,536), the memory is searched as it is.

    Args:
        memory: N rows.
        k: neighbours wanted.
        rows: (Q,) the rows that ask.
        near_duplicate: raw cosine from which on a row is not found; None excludes only itself.
        folds: each id's fold, see ``deal_folds``; None deals them anew.

    Returns:
        (Q, k) neighbours, -1 where there are fewer.
    """
    if not _is_fitted_again(memory):
        return memory.leave_one_out(k, near_duplicate=near_duplicate, rows=rows)
    dealt = deal_folds(memory) if folds is None else folds
    fold_of = np.array([dealt[id] for id in memory.ids], dtype=np.int64)
    answer = Neighbours.none(len(rows), k)
    for fold in np.unique(fold_of[rows]):
        asking = np.flatnonzero(fold_of[rows] == fold)
        others = np.flatnonzero(fold_of != fold)
        rest = Memory.in_ram(
            memory.vectors[others],
            memory.rows.take(pa.array(others)),
            encoder=memory.manifest.encoder,
            metric=memory.metric.name,
        )
        found = rest.search(memory.vectors[rows[asking]], k, near_duplicate=near_duplicate)
        answer.scores[asking] = found.scores
        if len(others):
            answer.rows[asking] = np.where(found.rows < 0, -1, others[found.rows])
    return answer


def deal_folds(memory: Memory, other: Memory | None = None) -> dict[str, int]:
    """Give the fold of each id, in [0, 5): classes are spread evenly, near-duplicates share one.

    Args:
        memory: its rows are dealt by their vectors and labels.
        other: a memory that is to be compared with it; rows that only this one has are dealt
            too, and those of both keep their fold.
    """
    if not any(_is_fitted_again(one) for one in (memory, other) if one is not None):
        return {}
    ids, labels, vectors = list(memory.ids), list(memory.labels), memory.vectors
    if other is not None:
        known = set(ids)
        new = [row for row, id in enumerate(other.ids) if id not in known]
        if new:
            ids += [other.ids[row] for row in new]
            labels += [other.labels[row] for row in new]
            vectors = np.concatenate([vectors, other.vectors[new]])
    _, codes = np.unique([label or "" for label in labels], return_inverse=True)
    groups = near_duplicate_groups(vectors, _NEAR_DUPLICATE)
    dealt = assign_folds(codes.astype(np.int64), groups, _FOLDS, _SEED)
    return dict(zip(ids, dealt.tolist(), strict=True))


def _is_fitted_again(memory: Memory) -> bool:
    return memory.metric.dim is not None and len(memory) <= _MOST_FITTED_AGAIN
