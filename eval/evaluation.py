"""All figures of one run: from outcomes to the records of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue, TypeAdapter

from eval.arrays import Bools, Floats, Ints
from eval.binomial import clopper_pearson_interval
from eval.bootstrap import Resampled, percentile_interval, resample_accuracies
from eval.calibration import Reliability, expected_calibration_error, reliability
from eval.groups import GROUP_NAMES, Groups, assign_groups
from eval.metrics import ClassScores, Confusions, class_scores, confusions
from eval.outcomes import Outcomes
from eval.schema import (
    Bin,
    BranchSummary,
    CalibrationSummary,
    ClassCounts,
    Confusion,
    Difference,
    Figure,
    Gain,
    GroupInfo,
    GroupRule,
    Headline,
    RowCounts,
    RunMetrics,
    SelectiveSummary,
    Settings,
)
from eval.selective import RiskCoverage, risk_coverage

CONFUSIONS_SHOWN = 20
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


def evaluate(outcomes: Outcomes, settings: Settings) -> Evaluation:
    """Compute every figure of a run.

    Raises:
        ReportFault: settings that contradict themselves, or metadata that is not JSON.
    """
    count = len(outcomes.classes)
    groups = None
    if outcomes.train_counts is not None:
        groups = assign_groups(outcomes.train_counts, settings.many, settings.few)
    fused = class_scores(outcomes.labels, outcomes.predictions, count)
    base = _branch_scores(outcomes.labels, outcomes.base, count)
    retrieval = _branch_scores(outcomes.labels, outcomes.retrieval, count)
    pairs = confusions(outcomes.labels, outcomes.predictions, count)
    headlines = _Headlines(outcomes, groups, fused.support, settings)
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
            unpredicted=outcomes.unpredicted,
        ),
        classes=ClassCounts(total=count, with_test_rows=tested, without_test_rows=count - tested),
        groups=None if groups is None else _group_rule(outcomes, groups, fused.support, settings),
        headline=headlines.of("fused"),
        branches=_branches(outcomes, headlines),
        calibration=None if diagram is None else _calibration(diagram),
        selective=None if curve is None else _selective(curve),
        confusions=_confusion_records(outcomes.classes, pairs, fused.support),
        notes=_notes(outcomes, count - tested),
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


class _Headlines:
    """Figures with intervals of the fused prediction and the branches, from one resampling."""

    def __init__(
        self, outcomes: Outcomes, groups: Groups | None, support: Ints, settings: Settings
    ) -> None:
        self.outcomes = outcomes
        self.support = support
        self.settings = settings
        self.hits: dict[str, Bools] = {"fused": outcomes.correct}
        if outcomes.in_top5 is not None:
            self.hits["top5"] = outcomes.in_top5
        for name, given in (("base", outcomes.base), ("retrieval", outcomes.retrieval)):
            if given is not None:
                self.hits[name] = given == outcomes.labels
        self.sets: dict[str, Bools] = {"macro": np.ones(len(outcomes.classes), dtype=bool)}
        if groups is not None:
            self.sets.update({name: groups.members(name) for name in GROUP_NAMES})
        self.drawn: Resampled | None = None
        if len(outcomes):
            self.drawn = resample_accuracies(
                outcomes.labels,
                np.stack(list(self.hits.values()), axis=1),
                np.stack(list(self.sets.values())),
                resamples=settings.resamples,
                seed=settings.seed,
            )

    def of(self, method: str) -> Headline:
        groups = {name: self._macro(method, name) for name in GROUP_NAMES if name in self.sets}
        return Headline(
            top1=self._share(method),
            top5=self._share("top5") if method == "fused" and "top5" in self.hits else None,
            macro=self._macro(method, "macro"),
            many=groups.get("many"),
            medium=groups.get("medium"),
            few=groups.get("few"),
        )

    def gain(self, method: str, over: str) -> Gain:
        groups = {
            name: self._difference(method, over, name) for name in GROUP_NAMES if name in self.sets
        }
        return Gain(
            top1=self._difference(method, over, None),
            macro=self._difference(method, over, "macro"),
            many=groups.get("many"),
            medium=groups.get("medium"),
            few=groups.get("few"),
        )

    def _value(self, method: str, of_set: str | None) -> float | None:
        hits = self.hits[method]
        if of_set is None:
            return float(hits.mean()) if len(hits) else None
        right = np.bincount(self.outcomes.labels[hits], minlength=len(self.support))
        judged = self.sets[of_set] & (self.support > 0)
        if not judged.any():
            return None
        return float(np.mean(right[judged] / self.support[judged]))

    def _samples(self, method: str, of_set: str | None) -> Floats | None:
        if self.drawn is None:
            return None
        column = list(self.hits).index(method)
        if of_set is None:
            return self.drawn.share[:, column]
        return self.drawn.macro[:, column, list(self.sets).index(of_set)]

    def _share(self, method: str) -> Figure:
        return self._figure(method, None, self.support)

    def _macro(self, method: str, of_set: str) -> Figure:
        return self._figure(method, of_set, np.where(self.sets[of_set], self.support, 0))

    def _figure(self, method: str, of_set: str | None, support: Ints) -> Figure:
        value, rows = self._value(method, of_set), int(support.sum())
        interval, kind = None, None
        if value is not None:
            if value in (0.0, 1.0):
                successes = rows if value == 1.0 else 0
                interval = clopper_pearson_interval(successes, rows, self.settings.confidence)
                kind = "exact"
            else:
                samples = self._samples(method, of_set)
                if samples is not None:
                    interval = percentile_interval(samples, self.settings.confidence)
                    kind = "bootstrap"
        low, high = interval if interval is not None else (None, None)
        return Figure.model_validate(
            {
                "value": value,
                "low": low,
                "high": high,
                "rows": rows,
                "classes": int(np.count_nonzero(support)),
                "interval": kind,
            }
        )

    def _difference(self, method: str, over: str, of_set: str | None) -> Difference:
        first, second = self._value(method, of_set), self._value(over, of_set)
        one, other = self._samples(method, of_set), self._samples(over, of_set)
        if first is None or second is None or one is None or other is None:
            return Difference(value=None, low=None, high=None)
        interval = percentile_interval(one - other, self.settings.confidence)
        low, high = interval if interval is not None else (None, None)
        return Difference(value=first - second, low=low, high=high)


def _branch_scores(labels: Ints, given: Ints | None, count: int) -> ClassScores | None:
    return None if given is None else class_scores(labels, given, count)


def _branches(outcomes: Outcomes, headlines: _Headlines) -> BranchSummary | None:
    if outcomes.base is None and outcomes.retrieval is None:
        return None
    has_base, has_retrieval = outcomes.base is not None, outcomes.retrieval is not None
    rescued = harmed = None
    if has_base:
        base_right, right = headlines.hits["base"], headlines.hits["fused"]
        rescued = int(np.count_nonzero(right & ~base_right))
        harmed = int(np.count_nonzero(base_right & ~right))
    return BranchSummary(
        base=headlines.of("base") if has_base else None,
        retrieval=headlines.of("retrieval") if has_retrieval else None,
        gain_over_base=headlines.gain("fused", "base") if has_base else None,
        gain_over_retrieval=headlines.gain("fused", "retrieval") if has_retrieval else None,
        rescued=rescued,
        harmed=harmed,
    )


def _group_rule(outcomes: Outcomes, groups: Groups, support: Ints, settings: Settings) -> GroupRule:
    infos: dict[str, GroupInfo] = {}
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
    return CalibrationSummary(error=diagram.error, bins=bins)


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


def _notes(outcomes: Outcomes, untested: int) -> list[str]:
    notes = []
    facts: Mapping[str, int] = {
        "left out: the label is unknown": outcomes.unlabelled,
        "left out: labelled, but no prediction was made (a bad image, for instance)": (
            outcomes.unpredicted
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
    if not len(outcomes):
        notes.append("No row has both a label and a prediction: nothing could be evaluated.")
    return notes
