"""What an edit of a memory does to its classes, by leave-one-out, before it is published.

Every labelled row is classified by its nearest neighbours among the others. Classes are compared
over the rows that are in the memory before and after the edit, so that a class does not gain by
the mere presence of easy new rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.leave_one_out import LeaveOneOut, classify_by_others, deal_folds
from retrieval_index import Memory

_SEED = 3


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
    folds = deal_folds(before, after)
    old = classify_by_others(before, near_duplicate=near_duplicate, rows=pairs[:, 0], folds=folds)
    new = classify_by_others(after, near_duplicate=near_duplicate, rows=pairs[:, 1], folds=folds)
    counts_before, counts_after = Counter(before.labels), Counter(after.labels)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(old.labels):
        places.setdefault(name, []).append(place)
    effects = []
    right_before, right_after = _right(old), _right(new)
    for label in sorted(name for name in counts_before | counts_after if name is not None):
        judged = places.get(label, [])
        effects.append(
            ClassEffect(
                label=label,
                rows_before=counts_before[label],
                rows_after=counts_after[label],
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
