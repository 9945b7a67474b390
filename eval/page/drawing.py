"""Plots as markup of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.figure import Figure

from eval.svg import inline_svg


def draw(
    figure: Figure,
    title: str,
    prefix: str,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Markup:
    """Draw a figure as markup of the page; see :func:`eval.svg.inline_svg`."""
    drawn = inline_svg(figure, title=title, prefix=prefix, dot_titles=names)
    return Markup(drawn)  # noqa: S704  its texts were escaped when it was drawn
