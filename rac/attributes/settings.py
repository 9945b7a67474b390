"""How cells are to be filled: what the answers depend on besides the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from rac.attributes.task.sample_size import CONFIDENCE


@dataclass(frozen=True)
class FillSettings:
    """What a caller may choose of the model.

    Attributes:
        confidence: in (0, 1), with which the target precision is promised.
        seed: of folds and samples; the same seed gives the same answers.
        workers: attributes fitted side by side; one for each processor if None. It changes the
            time, never the answer.
        sources: names of the sources of evidence to go by, of
            :data:`rac.attributes.evidence.registry.SOURCES`; all if None.
    """

    confidence: float = CONFIDENCE
    seed: int = 0
    workers: int | None = None
    sources: tuple[str, ...] | None = None
