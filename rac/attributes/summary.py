"""What a job tells of each attribute: how much was filled, and what that is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rac.attributes.filler import AttributeFiller, Source


@dataclass(frozen=True)
class AttributeSummary:
    """The figures of one attribute. Shares are in [0, 1], and None where nothing is behind them.

    Attributes:
        attribute: its name.
        column: the table's column.
        source: ``fused`` or ``zero-shot``.
        values: how many values it can take.
        cells: rows of the table.
        known: cells that held a value; they were not touched.
        outside: those of them whose value is not one of the attribute's.
        missing: cells that held nothing.
        filled: missing cells that were filled.
        abstained: missing cells that were left as they were, for want of sureness.
        bad_images: missing cells that were left as they were, for want of a readable image.
        coverage: filled / missing.
        target_precision: asked for.
        expected_precision: of the filled cells, judged on known cells that were held out.
        precision_bound: what the precision is at least, with ``confidence``.
        confidence: of the bound.
        expected_coverage: judged on the same known cells.
        threshold: cells were filled where the probability was greater.
        judged: known cells that the threshold was fitted on.
        judged_above: those of them above it.
        judged_right: those of these that were right.
        held_back: values that were not filled, having been mostly wrong on known cells.
        reason: why nothing was filled, or what the promise lacks; None where all is well.
        weights: of each kind of evidence.
    """

    attribute: str
    column: str
    source: Source
    values: int
    cells: int
    known: int
    outside: int
    missing: int
    filled: int
    abstained: int
    bad_images: int
    coverage: float | None
    target_precision: float
    expected_precision: float | None
    precision_bound: float | None
    confidence: float | None
    expected_coverage: float | None
    threshold: float | None
    judged: int
    judged_above: int
    judged_right: int
    held_back: list[str]
    reason: str | None
    weights: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Give the figures by name."""
        return asdict(self)


def summarise(
    filler: AttributeFiller,
    *,
    cells: int,
    missing: int,
    outside: int,
    bad_images: int,
    filled: int,
) -> AttributeSummary:
    """Put counts and promise of one attribute together; counts as in ``AttributeSummary``."""
    attribute, threshold = filler.vocabulary.attribute, filler.threshold
    return AttributeSummary(
        attribute=attribute.name,
        column=attribute.column,
        source=filler.source,
        values=len(filler.vocabulary.names),
        cells=cells,
        known=cells - missing,
        outside=outside,
        missing=missing,
        filled=filled,
        abstained=missing - filled - bad_images,
        bad_images=bad_images,
        coverage=filled / missing if missing else None,
        target_precision=threshold.target,
        expected_precision=threshold.expected_precision,
        precision_bound=threshold.precision_bound,
        confidence=threshold.confidence if threshold.precision_bound is not None else None,
        expected_coverage=threshold.expected_coverage,
        threshold=threshold.above,
        judged=threshold.known,
        judged_above=threshold.cells,
        judged_right=threshold.right,
        held_back=filler.held_back_names,
        reason=threshold.reason,
        weights=filler.weights,
    )
