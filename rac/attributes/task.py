"""One attribute's task: all that its answers are fitted to, in one place.

Letters of shapes: N rows of the table, R training rows, P projected dimensions, C values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rac.attributes.cells import Vocabulary
from rac.attributes.folds import FOLDS, assign_folds
from rac.attributes.known import Known
from rac.attributes.rows import Cells
from rac.encoders.base import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AttributeTask:
    """What one attribute is fitted to; it is only read, and what is computed of it is kept.

    Attributes:
        name: of the attribute.
        cells: of all N rows.
        training: the R rows it is fitted to, and their answers.
        masked: these rows' cells, as poorly known as those of the rows asked about.
        features: (R, P) their projected trunk features.
        prompts: (R, C) their scores from prompts; zeros where there are none.
        logit_scale: of the encoder that read the prompts; None where there are none.
        groups: (R,) groups of near-duplicates, which are never parted.
        seed: of the folds.
    """

    name: str
    cells: Cells
    training: Known
    masked: Cells
    features: FloatArray
    prompts: FloatArray
    logit_scale: float | None
    groups: IntArray
    seed: int

    @property
    def vocabulary(self) -> Vocabulary:
        """The attribute's C values."""
        return self.cells.vocabularies[self.name]

    @cached_property
    def folds(self) -> IntArray:
        """(R,) fold of each training row."""
        return assign_folds(self.training.slots, self.groups, FOLDS, self.seed)
