"""What a job would do, told before it does it: how much it expects to fill, and how well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rac.attributes.cells import MISSING
from rac.attributes.model.filler import Filler
from rac.attributes.prepare import Prepared


@dataclass(frozen=True)
class AttributePlan:
    """What is expected of one attribute. Shares are in [0, 1], None where nothing is behind them.

    Attributes:
        attribute: its name.
        source: ``fused`` or ``zero-shot``.
        known: cells that hold a value.
        missing: cells that hold nothing.
        by_rule: missing cells that another cell of the row says do not apply.
        bad_images: missing cells whose image cannot be read.
        expected_fills: cells that will be filled, about.
        expected_coverage: of the missing cells.
        expected_precision: of the filled cells.
        precision_bound: what it is at least, with the promise's confidence.
        target_precision: asked for.
        reason: why nothing will be filled, or what the promise lacks.
    """

    attribute: str
    source: str
    known: int
    missing: int
    by_rule: int
    bad_images: int
    expected_fills: int | None
    expected_coverage: float | None
    expected_precision: float | None
    precision_bound: float | None
    target_precision: float
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Give the figures by name."""
        return asdict(self)


def plan_fill(job: Prepared, filler: Filler) -> list[AttributePlan]:
    """Tell what a job would do, from the known cells alone; nothing is decided or written."""
    plans = []
    for name in job.schema.attributes:
        one, codes = filler.attributes[name], job.cells.codes[name]
        missing = codes == MISSING
        ruled = job.cells.ruled_out(one.attribute)
        bad = missing & ~ruled & ~job.store.ok
        share = one.threshold.expected_coverage if one.source == "fused" else None
        asked = int((missing & ~ruled & ~bad).sum())
        fills = None if share is None else round(asked * share)
        plans.append(
            AttributePlan(
                attribute=name,
                source=one.source,
                known=int((codes >= 0).sum()),
                missing=int(missing.sum()),
                by_rule=int(ruled.sum()),
                bad_images=int(bad.sum()),
                expected_fills=fills,
                expected_coverage=None
                if fills is None or not missing.any()
                else fills / int(missing.sum()),
                expected_precision=one.threshold.expected_precision,
                precision_bound=one.threshold.precision_bound,
                target_precision=one.threshold.target,
                reason=one.threshold.reason,
            )
        )
    return plans
