"""How cells are to be filled: what a person or a caller may choose of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rac.attributes.evidence import KINDS
from rac.attributes.threshold import CONFIDENCE


@dataclass(frozen=True)
class FillSettings:
    """What the answers depend on besides the catalogue.

    Attributes:
        confidence: in (0, 1), with which the target precision is promised.
        seed: of folds and samples; the same seed gives the same answers.
        workers: attributes fitted side by side; one for each processor if None. It changes the
            time, never the answer.
        kinds: the kinds of evidence to go by, of :data:`rac.attributes.evidence.KINDS`.
    """

    confidence: float = CONFIDENCE
    seed: int = 0
    workers: int | None = None
    kinds: Sequence[int] = range(len(KINDS))
