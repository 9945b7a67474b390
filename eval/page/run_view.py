"""A run as the page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eval import plots
from eval.class_table import ClassRow, class_rows
from eval.evaluation import Evaluation
from eval.examples import ExampleSet
from eval.groups import GROUP_NAMES
from eval.page.drawing import draw
from eval.page.wording import FIGURE_NAMES, TITLES, count
from eval.schema import Difference, Figure, Gain, GroupInfo, Headline, RunMetrics

_GAIN_NAMES = ("top1", "macro", *GROUP_NAMES)
_MEANINGS = {
    "top1": "rows predicted right",
    "top5": "rows with the label among five",
    "macro": "balanced accuracy: mean recall over classes",
    "many": "mean recall, frequent classes",
    "medium": "mean recall, middle classes",
    "few": "mean recall, rare classes",
    "harmonic": "harmonic mean of recalls",
    "worst": "lowest recall of a class",
}


@dataclass(frozen=True)
class Tile:
    """A headline figure; ``figure`` is None where the run cannot have it."""

    key: str
    title: str
    meaning: str
    figure: Figure | None
    reason: str


@dataclass(frozen=True)
class BranchLine:
    """A line of the comparison: one figure by base, retrieval and fused, with the gain."""

    key: str
    title: str
    base: Figure | None
    retrieval: Figure | None
    fused: Figure
    over_base: Difference | None
    over_retrieval: Difference | None


@dataclass(frozen=True)
class RunView:
    """A run as the template shows it."""

    key: str
    metrics: RunMetrics
    tiles: tuple[Tile, ...]
    branches: tuple[BranchLine, ...]
    rows: tuple[ClassRow, ...]
    examples: tuple[ExampleSet, ...]
    provenance: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, GroupInfo], ...]
    by_count: Markup | None
    by_group: Markup | None
    calibration: Markup | None
    risk: Markup | None


def run_view(
    number: int, evaluation: Evaluation, examples: Sequence[ExampleSet], *, named: bool
) -> RunView:
    """Prepare run ``number`` of the page; ``named``: whether the dots of its plot have names."""
    metrics, outcomes = evaluation.metrics, evaluation.outcomes
    key = f"run{number}"
    rows = tuple(class_rows(evaluation))
    by_count = None
    if outcomes.train_counts is not None and outcomes.labels.size:
        groups = None if evaluation.groups is None else evaluation.groups.index
        figure = plots.plot_accuracy_by_count(
            outcomes.train_counts,
            evaluation.fused.recall,
            groups,
            base_recall=None if evaluation.base is None else evaluation.base.recall,
            retrieval_recall=None if evaluation.retrieval is None else evaluation.retrieval.recall,
        )
        dots = plots.dots_by_group(groups, evaluation.fused.recall)
        names = {
            group: [_dot_title(rows[int(i)]) if named else "" for i in members]
            for group, members in dots.items()
            if members.size
        }
        by_count = draw(
            figure,
            "Recall of each class against its number of training rows; the table of classes holds "
            "the same numbers",
            f"{key}-count",
            names,
        )
    return RunView(
        key=key,
        metrics=metrics,
        tiles=_tiles(metrics),
        branches=_branch_lines(metrics),
        rows=rows,
        examples=tuple(examples),
        provenance=tuple((name, _said(value)) for name, value in metrics.metadata.items()),
        groups=_retrieval_groups(metrics),
        by_count=by_count,
        by_group=_group_plot(metrics, key),
        calibration=None
        if evaluation.diagram is None or evaluation.diagram.error is None
        else draw(
            plots.plot_calibration(evaluation.diagram),
            "Accuracy against confidence in bins, with the number of rows of each bin",
            f"{key}-calibration",
        ),
        risk=None
        if evaluation.curve is None or not evaluation.curve.coverage.size
        else draw(
            plots.plot_risk_coverage({"fused": evaluation.curve}),
            "Share of wrong answers against share of rows answered",
            f"{key}-risk",
        ),
    )


def _tiles(metrics: RunMetrics) -> tuple[Tile, ...]:
    reasons = {
        "top5": "needs scores of more than five classes",
        **dict.fromkeys(GROUP_NAMES, "training counts unknown"),
    }
    return tuple(
        Tile(
            key=name,
            title=TITLES[name],
            meaning=_MEANINGS[name],
            figure=getattr(metrics.headline, name),
            reason=reasons.get(name, ""),
        )
        for name in FIGURE_NAMES
    )


def _branch_lines(metrics: RunMetrics) -> tuple[BranchLine, ...]:
    branches = metrics.branches
    if branches is None:
        return ()
    lines = []
    for name in _GAIN_NAMES:
        fused: Figure | None = getattr(metrics.headline, name)
        if fused is None:
            continue
        lines.append(
            BranchLine(
                key=name,
                title=TITLES[name],
                base=_part(branches.base, name),
                retrieval=_part(branches.retrieval, name),
                fused=fused,
                over_base=_gain(branches.gain_over_base, name),
                over_retrieval=_gain(branches.gain_over_retrieval, name),
            )
        )
    return tuple(lines)


def _retrieval_groups(metrics: RunMetrics) -> tuple[tuple[str, GroupInfo], ...]:
    """The groups of a run, where there is something to say of what retrieval did in them."""
    if metrics.groups is None:
        return ()
    groups = tuple((name, getattr(metrics.groups, name)) for name in GROUP_NAMES)
    told = any(info.rescued is not None or info.neighbour_purity is not None for _, info in groups)
    return groups if told else ()


def _part(headline: Headline | None, name: str) -> Figure | None:
    figure: Figure | None = None if headline is None else getattr(headline, name)
    return figure


def _gain(gain: Gain | None, name: str) -> Difference | None:
    difference: Difference | None = None if gain is None else getattr(gain, name)
    return difference


def _group_plot(metrics: RunMetrics, key: str) -> Markup | None:
    if metrics.branches is None or metrics.headline.top1.value is None:
        return None
    methods: dict[str, Headline | None] = {
        "base": metrics.branches.base,
        "retrieval": metrics.branches.retrieval,
        "fused": metrics.headline,
    }
    names = [name for name in _GAIN_NAMES if getattr(metrics.headline, name) is not None]
    shares: Mapping[str, Mapping[str, Figure | None]] = {
        method: {TITLES[name]: getattr(headline, name) for name in names}
        for method, headline in methods.items()
        if headline is not None
    }
    return draw(
        plots.plot_groups(shares),
        "Accuracy of the base branch, the retrieval branch and the fused model, by group",
        f"{key}-groups",
    )


def _dot_title(row: ClassRow) -> str:
    recall = "" if row.recall is None else f"{100 * row.recall:.0f} % of "
    return f"{row.name}: {recall}{count(row.test_rows)}, {count(row.train_rows or 0)} training"


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)
