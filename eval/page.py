"""The HTML page of a report: what the template is given, and how numbers are said."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as MatplotlibFigure

from eval import plots
from eval.class_table import ClassRow, class_rows
from eval.doubtful import DoubtfulSet
from eval.evaluation import Evaluation
from eval.examples import ExampleSet
from eval.groups import GROUP_NAMES
from eval.outcomes import Outcomes
from eval.schema import (
    ClassChange,
    ComparisonMetrics,
    Difference,
    Figure,
    FillMetrics,
    Gain,
    GroupInfo,
    Headline,
    RunMetrics,
)
from eval.svg import inline_svg

if TYPE_CHECKING:
    from eval.report import Report

CHANGES_SHOWN = 1000
# Beyond so many classes on a page, dots of further runs go without names: 70 bytes each.
_NAMED_CLASSES = 15_000
_NONE, _MINUS = "\u2013", "\u2212"
FIGURE_NAMES = ("top1", "top5", "macro", *GROUP_NAMES, "harmonic", "worst")
_GAIN_NAMES = ("top1", "macro", *GROUP_NAMES)
_TITLES = {
    "top1": "Top-1",
    "top5": "Top-5",
    "macro": "Macro",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "harmonic": "Harmonic",
    "worst": "Worst class",
}
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


@dataclass(frozen=True)
class ComparisonView:
    """A run against the first one, as the template shows it."""

    key: str
    metrics: ComparisonMetrics
    rows: tuple[ClassChange, ...]
    plot: Markup | None


@dataclass(frozen=True)
class FillView:
    """An attribute as the template shows it."""

    key: str
    name: str
    metrics: FillMetrics
    doubtful: tuple[DoubtfulSet, ...]


def render_page(report: Report) -> str:
    """Render a report as one HTML page that needs nothing beside it.

    All text is escaped by the template engine; the page's own policy allows no request and no
    script but the one it carries.
    """
    environment = Environment(
        loader=PackageLoader("eval"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        points=points,
        interval=interval,
        count=count,
        plural=plural,
        cell=cell,
        chance=chance,
        width=lambda share: f"{100 * share:.2f}",
    )
    script, style = (_source(environment, name) for name in ("report.js", "report.css"))
    said = report.metrics.fills or {}
    fills = tuple(
        FillView(f"fill{number}", name, metrics, report.doubtful.get(name, ()))
        for number, (name, metrics) in enumerate(said.items(), start=1)
    )
    lines: list[tuple[str | None, FillMetrics]] = list(said.items())
    if len(lines) > 1 and report.metrics.fills_total is not None:
        lines.append((None, report.metrics.fills_total))
    curves = {name: score.curve for name, score in report.fills.items() if score.curve is not None}
    return environment.get_template("report.html").render(
        report=report,
        runs=[
            _run_view(
                number,
                evaluation,
                examples,
                named=number * len(evaluation.outcomes.classes) <= _NAMED_CLASSES,
            )
            for number, (evaluation, examples) in enumerate(
                zip(report.evaluations, report.examples, strict=True), start=1
            )
        ],
        comparisons=[
            _comparison_view(number, comparison, report.evaluations[0].outcomes)
            for number, comparison in enumerate(report.metrics.comparisons, start=2)
        ],
        settings=report.metrics.settings,
        fills=fills,
        fills_total=report.metrics.fills_total,
        fill_lines=lines,
        promised=any(metrics.promise is not None for metrics in said.values()),
        fill_risk=_svg(
            plots.plot_risk_coverage(curves),
            "Share of wrong values against share of cells, one line an attribute",
            "fills-risk",
        )
        if curves
        else None,
        figure_titles=_TITLES,
        figure_names=FIGURE_NAMES,
        script=Markup(script),  # noqa: S704  our own file
        style=Markup(style),  # noqa: S704  our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent; a dash where there is none.

    >>> percent(0.8345), percent(1.0), percent(None)
    ('83.5', '100', '–')
    """
    if share is None:
        return _NONE
    return "100" if share == 1 else f"{100 * share:.{digits}f}"


def points(difference: float | None) -> str:
    """A signed difference in percentage points.

    >>> points(0.031), points(-0.2), points(-0.0002), points(0.0), points(None)
    ('+3.1', '−20.0', '−0.02', '0.0', '–')
    """
    if difference is None:
        return _NONE
    if difference == 0:
        return "0.0"
    digits = 1 if abs(difference) >= 0.0005 else 2
    return f"{100 * difference:+.{digits}f}".replace("-", _MINUS)


def interval(figure: Figure | FillMetrics) -> str:
    """The interval of a figure in per cent, as "81.0 to 85.9"; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{percent(figure.low)} to {percent(figure.high)}"


def count(number: int) -> str:
    """A whole number with thousands apart.

    >>> count(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def plural(number: int, word: str, several: str | None = None) -> str:
    """A counted word: "1 row", "2 rows", "0 classes".

    >>> plural(1, "row"), plural(2000, "class", "classes")
    ('1 row', '2,000 classes')
    """
    return f"{number:,} {word if number == 1 else several or word + 's'}"


def cell(share: float | None) -> str:
    """A rate of the class table in per cent, empty for none, so that it sorts last.

    >>> cell(0.5), cell(None)
    ('50.0', '')
    """
    return "" if share is None else f"{100 * share:.1f}"


def chance(p: float) -> str:
    """A p-value, as exact as anyone needs it.

    >>> chance(0.0625), chance(0.00001)
    ('0.062', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _comparison_view(number: int, comparison: ComparisonMetrics, first: Outcomes) -> ComparisonView:
    key, plot = f"change{number}", None
    rows = _most_changed(comparison.classes)
    named = {id(one) for one in rows}
    if first.train_counts is not None and comparison.classes:
        counts = dict(zip(first.classes, first.train_counts.tolist(), strict=True))
        known = [change for change in comparison.classes if change.name in counts]
        groups = [GROUP_NAMES.index(change.group or "few") for change in known]
        differences = np.array([change.after - change.before for change in known])
        figure = plots.plot_changes([counts[one.name] for one in known], differences, groups)
        titles = [
            f"{one.name}: {points(one.after - one.before)} of {one.rows:,}"
            if id(one) in named
            else ""
            for one in known
        ]
        names = {
            group: [titles[i] for i in members]
            for group, members in plots.dots_by_group(np.array(groups), differences).items()
            if members.size
        }
        plot = _svg(
            figure,
            "Difference in recall of each class that changed against its training rows; the table "
            "below holds the same numbers",
            f"{key}-dots",
            names,
        )
    return ComparisonView(key=key, metrics=comparison, rows=rows, plot=plot)


def _most_changed(classes: Sequence[ClassChange]) -> tuple[ClassChange, ...]:
    """All classes where the page can bear them; else those that fell and those that rose most."""
    if len(classes) <= CHANGES_SHOWN:
        return tuple(classes)
    half = CHANGES_SHOWN // 2
    return (*classes[:half], *classes[-half:])


def _run_view(
    number: int, evaluation: Evaluation, examples: Sequence[ExampleSet], *, named: bool
) -> RunView:
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
        by_count = _svg(
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
        else _svg(
            plots.plot_calibration(evaluation.diagram),
            "Accuracy against confidence in bins, with the number of rows of each bin",
            f"{key}-calibration",
        ),
        risk=None
        if evaluation.curve is None or not evaluation.curve.coverage.size
        else _svg(
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
            title=_TITLES[name],
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
                title=_TITLES[name],
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
        method: {_TITLES[name]: getattr(headline, name) for name in names}
        for method, headline in methods.items()
        if headline is not None
    }
    return _svg(
        plots.plot_groups(shares),
        "Accuracy of the base branch, the retrieval branch and the fused model, by group",
        f"{key}-groups",
    )


def _dot_title(row: ClassRow) -> str:
    recall = "" if row.recall is None else f"{100 * row.recall:.0f} % of "
    return f"{row.name}: {recall}{count(row.test_rows)}, {count(row.train_rows or 0)} training"


def _svg(
    figure: MatplotlibFigure,
    title: str,
    prefix: str,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Markup:
    drawn = inline_svg(figure, title=title, prefix=prefix, dot_titles=names)
    return Markup(drawn)  # noqa: S704  its texts were escaped when it was drawn


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False)


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None  # noqa: S101  it was given above
    return loader.get_source(environment, name)[0].strip()
