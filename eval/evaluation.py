"""All figures of one run: from outcomes to the records of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue, TypeAdapter

from eval.arrays import Bools, Ints
from eval.calibration import Reliability, expected_calibration_error, reliability
from eval.conventions import other_conventions
from eval.groups import GROUP_NAMES, Groups, assign_groups
from eval.headlines import MACRO_NAMES, Headlines
from eval.honesty import check_honesty, require_honest
from eval.metrics import ClassScores, Confusions, class_scores, confusions
from eval.outcomes import Outcomes
from eval.schema import (
    Bin,
    BranchSummary,
    CalibrationSummary,
    ClassCounts,
    Confusion,
    Gain,
    GroupInfo,
    GroupRule,
    Honesty,
    RowCounts,
    RunMetrics,
    SelectiveSummary,
    Settings,
)
from eval.selective import RiskCoverage, risk_coverage

CONFUSIONS_SHOWN = 20
_MANY_SINGLE = 0.2
_PRECISIONS = (0.9, 0.95, 0.99)
_JSON: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One run's figures, with the arrays that its plots and tables are made from.

    Attributes:
        outcomes: what was evaluated.
        groups: None where training counts are unknown.
        fused: per-class scores of the run's predictions.
        base: per-class scores of the base branch, or None.
        retrieval: per-class scores of the retrieval branch, or None.
        confusions: all pairs of label and prediction.
        diagram: calibration diagram, or None without confidences.
        curve: risk-coverage, or None without confidences.
        metrics: the record for ``metrics.json``.
    """

    outcomes: Outcomes
    groups: Groups | None
    fused: ClassScores
    base: ClassScores | None
    retrieval: ClassScores | None
    confusions: Confusions
    diagram: Reliability | None
    curve: RiskCoverage | None
    metrics: RunMetrics


def evaluate(outcomes: Outcomes, settings: Settings, *, force: bool = False) -> Evaluation:
    """Compute every figure of a run.

    Args:
        outcomes: of the run.
        settings: of groups, intervals and bins.
        force: evaluate rows that were trained on or selected by, and say so in the metrics.

    Raises:
        ReportFault: settings that contradict themselves, or metadata that is not JSON, or rows
            that were trained on or selected by.
    """
    honesty = check_honesty(outcomes, forced=force)
    require_honest(outcomes.name, honesty)
    count = len(outcomes.classes)
    groups = None
    if outcomes.train_counts is not None:
        groups = assign_groups(outcomes.train_counts, settings.many, settings.few)
    fused = class_scores(outcomes.labels, outcomes.predictions, count)
    base = _branch_scores(outcomes.labels, outcomes.base, count)
    retrieval = _branch_scores(outcomes.labels, outcomes.retrieval, count)
    pairs = confusions(outcomes.labels, outcomes.predictions, count)
    hits = _hits(outcomes)
    headlines = Headlines(outcomes.labels, count, hits, groups, settings)
    headline = headlines.of("fused", "top5" if "top5" in hits else None)
    diagram = curve = None
    if outcomes.confidence is not None:
        diagram = reliability(outcomes.confidence, outcomes.correct, settings.bins)
        curve = risk_coverage(outcomes.confidence, outcomes.correct)
    tested = int(np.count_nonzero(fused.support))
    metrics = RunMetrics(
        name=outcomes.name,
        rows=RowCounts(
            total=outcomes.total,
            evaluated=len(outcomes),
            unlabelled=outcomes.unlabelled,
            unpredicted=len(outcomes.unpredicted),
        ),
        classes=ClassCounts(total=count, with_test_rows=tested, without_test_rows=count - tested),
        groups=None if groups is None else _group_rule(outcomes, groups, fused.support, settings),
        headline=headline,
        conventions=other_conventions(outcomes, fused, headline.macro, settings),
        honesty=honesty,
        branches=_branches(outcomes, hits, headlines),
        calibration=None if diagram is None else _calibration(diagram),
        selective=None if curve is None else _selective(curve),
        confusions=_confusion_records(outcomes.classes, pairs, fused.support),
        notes=_notes(outcomes, fused.support, honesty),
        metadata=_JSON.validate_python(dict(outcomes.metadata)),
    )
    return Evaluation(
        outcomes=outcomes,
        groups=groups,
        fused=fused,
        base=base,
        retrieval=retrieval,
        confusions=pairs,
        diagram=diagram,
        curve=curve,
        metrics=metrics,
    )


def _branch_scores(labels: Ints, given: Ints | None, count: int) -> ClassScores | None:
    return None if given is None else class_scores(labels, given, count)


def _hits(outcomes: Outcomes) -> dict[str, Bools]:
    """Which rows each method got right, and which have their label among the five best."""
    hits = {"fused": outcomes.correct}
    if outcomes.in_top5 is not None:
        hits["top5"] = outcomes.in_top5
    for name, given in (("base", outcomes.base), ("retrieval", outcomes.retrieval)):
        if given is not None:
            hits[name] = given == outcomes.labels
    return hits


def _branches(
    outcomes: Outcomes, hits: Mapping[str, Bools], headlines: Headlines
) -> BranchSummary | None:
    if "base" not in hits and "retrieval" not in hits:
        return None
    turned = _turned(outcomes)
    return BranchSummary(
        base=headlines.of("base") if "base" in hits else None,
        retrieval=headlines.of("retrieval") if "retrieval" in hits else None,
        gain_over_base=_gain(headlines, "base") if "base" in hits else None,
        gain_over_retrieval=_gain(headlines, "retrieval") if "retrieval" in hits else None,
        rescued=None if turned is None else int(np.count_nonzero(turned[0])),
        harmed=None if turned is None else int(np.count_nonzero(turned[1])),
    )


def _turned(outcomes: Outcomes) -> tuple[Bools, Bools] | None:
    """Which rows fusing rescued and which it harmed, against the base branch alone."""
    if outcomes.base is None:
        return None
    alone: Bools = outcomes.base == outcomes.labels
    return outcomes.correct & ~alone, alone & ~outcomes.correct


def _gain(headlines: Headlines, over: str) -> Gain:
    return Gain.model_validate(
        {
            name: headlines.difference("fused", over, name)
            for name in ("top1", *MACRO_NAMES, "harmonic")
        }
    )


def _group_rule(outcomes: Outcomes, groups: Groups, support: Ints, settings: Settings) -> GroupRule:
    infos: dict[str, GroupInfo] = {}
    turned = _turned(outcomes)
    for name in GROUP_NAMES:
        members = groups.members(name)
        rows = members[outcomes.labels] if len(outcomes) else np.zeros(0, dtype=bool)
        error = purity = None
        if outcomes.confidence is not None:
            error = expected_calibration_error(
                outcomes.confidence[rows], outcomes.correct[rows], settings.bins
            )
        if outcomes.purity is not None:
            known = outcomes.purity[rows]
            known = known[~np.isnan(known)]
            purity = float(known.mean()) if known.size else None
        infos[name] = GroupInfo(
            classes=int(np.count_nonzero(members)),
            classes_with_test_rows=int(np.count_nonzero(members & (support > 0))),
            rows=int(np.count_nonzero(rows)),
            neighbour_purity=purity,
            calibration_error=error,
            rescued=None if turned is None else int(np.count_nonzero(turned[0] & rows)),
            harmed=None if turned is None else int(np.count_nonzero(turned[1] & rows)),
        )
    return GroupRule(
        rule=groups.rule,
        many_above=groups.many_above,
        few_below=groups.few_below,
        description=groups.description,
        many=infos["many"],
        medium=infos["medium"],
        few=infos["few"],
    )


def _calibration(diagram: Reliability) -> CalibrationSummary:
    bins = [
        Bin(
            low=float(diagram.edges[i]),
            high=float(diagram.edges[i + 1]),
            rows=int(rows),
            confidence=float(diagram.confidence[i]) if rows else None,
            accuracy=float(diagram.accuracy[i]) if rows else None,
        )
        for i, rows in enumerate(diagram.counts)
    ]
    return CalibrationSummary(error=diagram.error, by_chance=diagram.by_chance, bins=bins)


def _selective(curve: RiskCoverage) -> SelectiveSummary:
    return SelectiveSummary(
        area=curve.area,
        coverage_at_precision={
            f"{wanted:.2f}": curve.coverage_at(wanted) for wanted in _PRECISIONS
        },
    )


def _confusion_records(classes: Sequence[str], pairs: Confusions, support: Ints) -> list[Confusion]:
    wrong = np.flatnonzero(pairs.labels != pairs.predictions)[:CONFUSIONS_SHOWN]
    return [
        Confusion(
            label=classes[int(pairs.labels[i])],
            prediction=classes[int(pairs.predictions[i])],
            rows=int(pairs.counts[i]),
            share_of_label=float(pairs.counts[i] / support[pairs.labels[i]]),
        )
        for i in wrong
    ]


def _notes(outcomes: Outcomes, support: Ints, honesty: Honesty) -> list[str]:
    notes = []
    untested, single = (int(np.count_nonzero(support == rows)) for rows in (0, 1))
    tested = len(support) - untested
    facts: Mapping[str, int] = {
        "left out: the label is unknown": outcomes.unlabelled,
        "left out: labelled, but no prediction was made (a bad image, for instance)": (
            len(outcomes.unpredicted)
        ),
    }
    for said, rows in facts.items():
        if rows:
            notes.append(f"{rows:,} of {outcomes.total:,} rows {said}.")
    if untested:
        notes.append(
            f"{untested:,} of {len(outcomes.classes):,} classes have no test rows; they are in no "
            "average."
        )
    # In simulations, 95 % intervals then held the truth in 83 to 92 % of the cases.
    if single > _MANY_SINGLE * tested:
        notes.append(
            f"{single:,} of the {tested:,} classes with test rows have one only, so intervals of "
            "averages over classes may be too narrow."
        )
    if outcomes.train_counts is None:
        notes.append("Training counts are unknown, so there are no many / medium / few groups.")
    if outcomes.confidence is None:
        notes.append("No confidences were given, so calibration and risk-coverage are absent.")
    if outcomes.label_rank is None:
        notes.append("No scores were given, so there is no top-5.")
    elif len(outcomes.classes) <= 5:
        notes.append("With five classes or fewer, top-5 says nothing and is left out.")
    elif outcomes.rank_depth < 5:
        notes.append(
            f"Only the {outcomes.rank_depth} best classes of a row are known, so there is no top-5."
        )
    checks = {"trained on": honesty.training, "selected by": honesty.selection}
    notes += [
        f"These figures are too good: test rows were {deed}, and the report was forced."
        for deed, check in checks.items()
        if check.broken
    ]
    unchecked = [deed for deed, check in checks.items() if check.checked == "not checked"]
    if unchecked:
        notes.append(
            f"Not checked, for want of content hashes: whether test images were "
            f"{' or '.join(unchecked)}."
        )
    unknown = max(check.unknown for check in checks.values())
    if unknown:
        notes.append(
            f"{unknown:,} rows have no content hash, so overlap with training or selection could "
            "not be seen in them."
        )
    if not len(outcomes):
        notes.append("No row has both a label and a prediction: nothing could be evaluated.")
    return notes
