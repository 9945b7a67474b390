"""Figures as other tools count them, given where they differ from the headline, with the reason."""

from __future__ import annotations

import numpy as np

from eval.headlines import Headlines
from eval.metrics import ClassScores
from eval.outcomes import Outcomes
from eval.schema import Convention, Figure, Settings


def other_conventions(
    outcomes: Outcomes, scores: ClassScores, macro: Figure, settings: Settings
) -> list[Convention]:
    """Give the figures that differ; none where all agree.

    Args:
        outcomes: of the run.
        scores: of its predictions, per class.
        macro: the headline's mean recall.
        settings: of the intervals.
    """
    found = []
    strange = int(np.count_nonzero((scores.support == 0) & (scores.predicted > 0)))
    if strange and macro.value is not None and macro.low is not None and macro.high is not None:
        share = macro.classes / (macro.classes + strange)
        found.append(
            Convention(
                name="macro recall over predicted classes too",
                figure=macro.model_copy(
                    update={
                        "value": share * macro.value,
                        "low": share * macro.low,
                        "high": share * macro.high,
                        "classes": macro.classes + strange,
                    }
                ),
                reason=f"classes that were predicted but have no test rows ({strange:,}) count as "
                "0, as in scikit-learn's recall_score(average='macro'); balanced accuracy leaves "
                "them out",
            )
        )
    if len(outcomes.unpredicted):
        labels = np.concatenate([outcomes.labels, outcomes.unpredicted])
        hits = np.concatenate([outcomes.correct, np.zeros(len(outcomes.unpredicted), dtype=bool)])
        strict = Headlines(labels, len(outcomes.classes), {"fused": hits}, None, settings)
        reason = (
            f"labelled rows without a prediction ({len(outcomes.unpredicted):,}) count as wrong; "
            "the headline leaves them out"
        )
        found += [
            Convention(
                name=f"{title}, rows without a prediction wrong",
                figure=strict.figure("fused", name),
                reason=reason,
            )
            for name, title in (("top1", "top-1"), ("macro", "balanced accuracy"))
        ]
    return found
