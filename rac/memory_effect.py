"""What an edit of a memory does to its classes, by leave-one-out, before it is published.

Every labelled row is classified by its nearest neighbours among the others. Classes are compared
over the rows that are in the memory before and after the edit, so that a class does not gain by
the mere presence of easy new rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.branches.votes import class_balanced_votes
from retrieval_index import Memory, Neighbours

_NEIGHBOURS = 10
_TEMPERATURE = 0.1
_GAMMA = 0.7
_SEED = 3
_BLOCK_ROWS = 2048


@dataclass(frozen=True)
class ClassEffect:
    """One class before and after.

    Attributes:
        label: its name.
        rows_before: labelled rows of it in the memory before the edit.
        rows_after: the same after it.
        judged: rows of it that are there before and after, and were classified.
        before: share of these classified right before, in [0, 1]; None where ``judged`` is 0.
        after: the same after.
    """

    label: str
    rows_before: int
    rows_after: int
    judged: int
    before: float | None
    after: float | None

    @property
    def gain(self) -> float:
        """Give after less before; 0 where nothing was judged."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class EditEffect:
    """All classes before and after.

    Attributes:
        judged: rows that were classified in both.
        before: share of them classified right before; None where ``judged`` is 0.
        after: the same after.
        classes: the classes whose figures or numbers of rows change, the largest loss first.
        unchanged: how many classes do not change.
    """

    judged: int
    before: float | None
    after: float | None
    classes: list[ClassEffect]
    unchanged: int


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
    k: int = _NEIGHBOURS,
    near_duplicate: float | None = None,
    rows: npt.NDArray[np.int64] | None = None,
) -> LeaveOneOut:
    """Classify rows by the class-balanced votes of their neighbours among the others.

    Args:
        memory: N rows.
        k: neighbours that vote.
        near_duplicate: raw cosine from which on a row must not vouch for another; None lets all.
        rows: the rows to classify; None takes all. Those without a label are left out.
    """
    labels = memory.labels
    names = sorted({label for label in labels if label is not None})
    code = {name: number for number, name in enumerate(names)}
    classes = np.array([-1 if label is None else code[label] for label in labels], dtype=np.int64)
    counts = np.bincount(classes[classes >= 0], minlength=len(names))
    asking = np.arange(len(memory)) if rows is None else rows
    asking = asking[classes[asking] >= 0]
    found = memory.leave_one_out(k, near_duplicate=near_duplicate, rows=asking)
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


def edit_effect(
    before: Memory, after: Memory, *, near_duplicate: float | None = None, most: int | None = None
) -> EditEffect:
    """Compare a memory with what an edit would make of it.

    Args:
        before: the memory.
        after: as ``Memory.preview`` gives it.
        near_duplicate: see ``classify_by_others``.
        most: classify at most so many rows, drawn by a fixed seed; None takes all.
    """
    row_after = {id: row for row, id in enumerate(after.ids)}
    kept = [
        (row, row_after[id])
        for row, (id, label) in enumerate(zip(before.ids, before.labels, strict=True))
        if label is not None and id in row_after and after.labels[row_after[id]] == label
    ]
    if most is not None and len(kept) > most:
        chosen = np.random.default_rng(_SEED).permutation(len(kept))[:most]
        kept = [kept[place] for place in np.sort(chosen)]
    pairs = np.array(kept, dtype=np.int64).reshape(-1, 2)
    old = classify_by_others(before, near_duplicate=near_duplicate, rows=pairs[:, 0])
    new = classify_by_others(after, near_duplicate=near_duplicate, rows=pairs[:, 1])
    counts_before, counts_after = _counts(before), _counts(after)
    effects = []
    right_before, right_after = _right(old), _right(new)
    for label in sorted(counts_before | counts_after):
        judged = [place for place, name in enumerate(old.labels) if name == label]
        effects.append(
            ClassEffect(
                label=label,
                rows_before=counts_before.get(label, 0),
                rows_after=counts_after.get(label, 0),
                judged=len(judged),
                before=float(right_before[judged].mean()) if judged else None,
                after=float(right_after[judged].mean()) if judged else None,
            )
        )
    changed = [e for e in effects if e.gain or e.rows_before != e.rows_after]
    changed.sort(key=lambda effect: (effect.gain, effect.label))
    return EditEffect(
        judged=len(pairs),
        before=old.accuracy,
        after=new.accuracy,
        classes=changed,
        unchanged=len(effects) - len(changed),
    )


def _right(outcome: LeaveOneOut) -> npt.NDArray[np.float64]:
    pairs = zip(outcome.labels, outcome.predicted, strict=True)
    return np.array([a == b for a, b in pairs], dtype=np.float64)


def _counts(memory: Memory) -> dict[str, int]:
    counts: dict[str, int] = {}
    for label in memory.labels:
        if label is not None:
            counts[label] = counts.get(label, 0) + 1
    return counts
