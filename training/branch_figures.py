"""What each branch is right about alone, and what the fusion adds to the base branch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.headlines import Headlines
from eval.metrics import best_classes
from eval.predictions import Predictions
from eval.schema import Difference, Figure, Settings

_NAMES = ("top1", "macro")
_SETTINGS = Settings(many=100, few=20, resamples=1000, confidence=0.95, seed=0, bins=15)


def branch_lines(predictions: Predictions) -> list[str]:
    """Give a small table, per cent with 95 % bootstrap intervals; the last line is paired.

    Args:
        predictions: of a model with both branches; rows without a known label or a readable image
            are left out.

    Returns:
        Lines of text; none where no row can be judged, or the scores of a branch are not there.
    """
    branches = {
        "fused": predictions.scores,
        "base alone": predictions.base_scores,
        "retrieval alone": predictions.retrieval_scores,
    }
    position = {name: number for number, name in enumerate(predictions.classes)}
    cells = zip(predictions.label_cells, predictions.predictions, strict=True)
    kept = [
        row for row, (label, said) in enumerate(cells) if label is not None and said is not None
    ]
    if not kept or any(scores is None for scores in branches.values()):
        return []
    truth = np.array([position[predictions.label_cells[row] or ""] for row in kept], dtype=np.int64)
    hits = {
        name: best_classes(np.asarray(scores)[kept]) == truth
        for name, scores in branches.items()
        if scores is not None and np.isfinite(np.asarray(scores)[kept]).all()
    }
    figures = Headlines(truth, len(position), hits, None, _SETTINGS)
    lines = [f"{'':18}" + "".join(f"{name:22}" for name in _NAMES).rstrip()]
    lines += [_line(one, [figures.figure(one, name) for name in _NAMES], "") for one in hits]
    added = [figures.difference("fused", "base alone", name) for name in _NAMES]
    lines.append(_line("fused - base", added, "+"))
    return lines


def _line(name: str, found: Sequence[Figure | Difference | None], sign: str) -> str:
    cells = [f"{name:18}"]
    for one in found:
        if one is None or one.value is None or one.low is None or one.high is None:
            cells.append(f"{'-':22}")
            continue
        value, low, high = (
            format(100 * end, f"{sign}.1f") for end in (one.value, one.low, one.high)
        )
        cells.append(f"{f'{value} [{low}, {high}]':22}")
    return "".join(cells).rstrip()
