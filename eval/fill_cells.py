"""The cells of a fill run as arrays, small enough to hold for millions of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.arrays import Bools, Floats, Ints, require_same_length
from eval.errors import ReportFault


@dataclass(frozen=True)
class KnownCells:
    """Cells of an attribute that held a value before and were not touched.

    Attributes:
        total: how many.
        values: how many of each value; None where only the total is known.
    """

    total: int
    values: Mapping[str, int] | None


@dataclass(frozen=True, eq=False)
class FillCells:
    """M cells of A attributes; values and reasons are positions in lists, -1 for none.

    Attributes:
        attributes: (A,) names, in the order that they are reported in.
        values: (V,) names of all values of all attributes.
        reasons: (R,) why cells stayed empty.
        attribute: (M,) the cell's attribute.
        known: (M,) the cell held a value before and was not touched.
        filled: (M,) the best value was written.
        best: (M,) the value that the cell holds, or the best guess where it was left empty.
        truth: (M,) the true value; -1 where unknown.
        probability: (M,) of the best value, in [0, 1]; NaN where there is none.
        reason: (M,) why the cell stayed empty.
    """

    attributes: tuple[str, ...]
    values: tuple[str, ...]
    reasons: tuple[str, ...]
    attribute: Ints
    known: Bools
    filled: Bools
    best: Ints
    truth: Ints
    probability: Floats
    reason: Ints

    def __len__(self) -> int:
        return len(self.attribute)

    def __post_init__(self) -> None:
        require_same_length(
            attribute=self.attribute,
            known=self.known,
            filled=self.filled,
            best=self.best,
            truth=self.truth,
            probability=self.probability,
            reason=self.reason,
        )
        asked = ~self.known & (self.best >= 0)
        bad = np.flatnonzero(
            asked & ~((self.probability >= -1e-6) & (self.probability <= 1 + 1e-6))
        )
        if bad.size:
            cell = int(bad[0])
            name = self.attributes[int(self.attribute[cell])]
            raise ReportFault(
                f"cell {cell + 1} (attribute {name!r}): probability {self.probability[cell]} is "
                "not between 0 and 1"
            )
        empty = np.flatnonzero(self.filled & (self.best < 0))
        if empty.size:
            raise ReportFault(f"cell {int(empty[0]) + 1} is filled, but with no value")


def make_cells(
    attribute: Sequence[str],
    truth: Sequence[str | None],
    value: Sequence[str | None],
    probability: npt.ArrayLike,
    *,
    candidate: Sequence[str | None] | None = None,
    reason: Sequence[str | None] | None = None,
) -> FillCells:
    """Make cells, none of them known before, of columns of text.

    Args:
        attribute: (M,) the cell's attribute.
        truth: (M,) the true value, None where unknown.
        value: (M,) the value written, None where the filler abstained.
        probability: (M,) of the value, or of the candidate where it abstained.
        candidate: (M,) the best value, also where it was too doubtful to be written.
        reason: (M,) why a cell stayed empty.

    Raises:
        ReportFault: lengths differ, or a probability is not in [0, 1].
    """
    chance: Floats = np.asarray(probability, dtype=np.float64)
    nothing: Sequence[str | None] = [None] * len(value)
    guessed = nothing if candidate is None else candidate
    why = nothing if reason is None else reason
    require_same_length(
        probability=chance,
        attribute=np.empty(len(attribute)),
        truth=np.empty(len(truth)),
        value=np.empty(len(value)),
        candidate=np.empty(len(guessed)),
        reason=np.empty(len(why)),
    )
    best = [guess if cell is None else cell for cell, guess in zip(value, guessed, strict=True)]
    attributes, values, reasons = _names(attribute), _names([*truth, *best]), _names(why)
    return FillCells(
        attributes=attributes,
        values=values,
        reasons=reasons,
        attribute=positions_in(attributes, attribute),
        known=np.zeros(len(value), dtype=np.bool_),
        filled=np.array([cell is not None for cell in value], dtype=np.bool_),
        best=positions_in(values, best),
        truth=positions_in(values, truth),
        probability=chance,
        reason=positions_in(reasons, why),
    )


def positions_in(names: Sequence[str], cells: Sequence[str | None]) -> Ints:
    """Position (M,) of each cell among the names; -1 for None and for what is not there.

    >>> positions_in(["a", "b"], ["b", None, "c"])
    array([ 1, -1, -1])
    """
    place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    return np.fromiter((place.get(cell, -1) for cell in cells), np.int64, len(cells))


def _names(cells: Sequence[str | None]) -> tuple[str, ...]:
    """The distinct texts, in the order in which they first occur."""
    return tuple(dict.fromkeys(cell for cell in cells if cell is not None))
