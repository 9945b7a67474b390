"""Whether test rows were trained on, or settings chosen by them: then their figures mean little."""

from __future__ import annotations

import numpy as np

from eval.arrays import Bools
from eval.errors import ReportFault
from eval.image_sets import ImageSet
from eval.metrics import accuracy, macro_accuracy
from eval.outcomes import Outcomes
from eval.schema import Honesty, OverlapCheck

_SHOWN = 5


def check_honesty(outcomes: Outcomes, *, forced: bool) -> Honesty:
    """Look for the evaluated rows among the images of training and of selection.

    Args:
        outcomes: of the run.
        forced: the report is wanted whatever is found.
    """
    header = outcomes.header
    return Honesty(
        training=_check(outcomes, header.training),
        selection=_check(outcomes, header.selection),
        forced=forced,
    )


def require_honest(name: str, honesty: Honesty) -> None:
    """Refuse a run whose test rows were trained on or selected by, unless that was forced.

    Raises:
        ReportFault: saying how many rows, which, and what can be done.
    """
    if honesty.forced:
        return
    for check, deed in (
        (honesty.training, "were trained on"),
        (honesty.selection, "the run's settings were chosen by"),
    ):
        if check.broken:
            shown = ", ".join(repr(id) for id in check.examples)
            if check.rows > len(check.examples):
                shown += ", ..."
            said = (
                f"{check.rows:,} test rows hold images that {deed} ({shown})"
                if check.rows
                else f"the table of the test rows is one that {deed}"
            )
            raise ReportFault(
                f"{name}: {said}, so its figures would be too good; report other rows, or use "
                "--force to report these with a warning on the page"
            )


def _check(outcomes: Outcomes, images: ImageSet | None) -> OverlapCheck:
    source = outcomes.header.source
    if images is None:
        return _nothing("not checked")
    if not len(images) and images.source is None:
        return _nothing("no images")
    same_table = source is not None and source == images.source
    if outcomes.digests is None or outcomes.digested is None or not len(images):
        by_name = source is not None and images.source is not None
        return _nothing("table" if by_name else "not checked", same_table=same_table)
    found: Bools = images.contains(outcomes.digests) & outcomes.digested
    rows = np.flatnonzero(found)
    count, other = len(outcomes.classes), ~found
    return OverlapCheck(
        checked="content",
        same_table=same_table,
        rows=len(rows),
        unknown=int(np.count_nonzero(~outcomes.digested)),
        examples=[outcomes.ids[int(row)].as_py() for row in rows[:_SHOWN]],
        top1_without=accuracy(outcomes.labels[other], outcomes.predictions[other])
        if rows.size
        else None,
        macro_without=macro_accuracy(outcomes.labels[other], outcomes.predictions[other], count)
        if rows.size
        else None,
    )


def _nothing(checked: str, *, same_table: bool = False) -> OverlapCheck:
    return OverlapCheck.model_validate(
        {
            "checked": checked,
            "same_table": same_table,
            "rows": 0,
            "unknown": 0,
            "examples": [],
            "top1_without": None,
            "macro_without": None,
        }
    )
