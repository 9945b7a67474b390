"""The HTML page of a report: the template and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval import plots
from eval.doubtful import DoubtfulSet
from eval.page.comparison_view import comparison_view
from eval.page.drawing import draw
from eval.page.run_view import run_view
from eval.page.wording import (
    FIGURE_NAMES,
    TITLES,
    cell,
    chance,
    count,
    interval,
    percent,
    plural,
    points,
)
from eval.page_file import content_policy
from eval.schema import FillMetrics

if TYPE_CHECKING:
    from eval.report import Report

# Beyond so many classes on a page, dots of further runs go without names: 70 bytes each.
_NAMED_CLASSES = 15_000


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
            run_view(
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
            comparison_view(number, comparison, report.evaluations[0].outcomes)
            for number, comparison in enumerate(report.metrics.comparisons, start=2)
        ],
        settings=report.metrics.settings,
        fills=fills,
        fills_total=report.metrics.fills_total,
        fill_lines=lines,
        promised=any(metrics.promise is not None for metrics in said.values()),
        fill_risk=draw(
            plots.plot_risk_coverage(curves),
            "Share of wrong values against share of cells, one line an attribute",
            "fills-risk",
        )
        if curves
        else None,
        figure_titles=TITLES,
        figure_names=FIGURE_NAMES,
        script=Markup(script),  # noqa: S704  our own file
        style=Markup(style),  # noqa: S704  our own file
        policy=content_policy(script),
    )


def _source(environment: Environment, name: str) -> str:
    loader = environment.loader
    assert loader is not None  # noqa: S101  it was given above
    return loader.get_source(environment, name)[0].strip()
