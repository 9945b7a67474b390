"""What a quickstart found out: ``summary.json``, and the closing table in the terminal."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassifierFigures(_Record):
    """Accuracies on the test rows, in [0, 1]; None for a group without rows."""

    top1: float | None
    macro: float | None
    many: float | None
    medium: float | None
    few: float | None


class FillFigures(_Record):
    """One attribute's blanked cells: how many, how many filled, and how many of these right."""

    cells: int
    filled: int
    coverage: float | None
    precision: float | None


class QuickstartSummary(_Record):
    """The figures of a quickstart.

    Attributes:
        data: where the pictures came from.
        rows: pictures in the catalogue.
        bad_images: those of them that could not be read.
        classes: classes with training rows.
        classifier: accuracies on the test rows.
        fill: by attribute, judged on the blanked cells alone.
        seconds: by stage.
        encoder: its name.
        encoder_identity: its hash.
    """

    data: str
    rows: int
    bad_images: int
    classes: int
    classifier: ClassifierFigures
    fill: dict[str, FillFigures]
    seconds: dict[str, float]
    encoder: str
    encoder_identity: str


def print_summary(summary: QuickstartSummary, out: Path) -> None:
    """Print the closing tables on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"\n{summary.rows:,} pictures of {summary.data} ({summary.bad_images} bad), "
        f"{summary.classes} classes, encoder {summary.encoder}, "
        f"{sum(summary.seconds.values()):.0f} s\n"
    )
    accuracies = Table(title="Classifier, accuracy on test rows")
    for name in summary.classifier.model_dump():
        accuracies.add_column(name, justify="right")
    accuracies.add_row(*(_share(value) for value in summary.classifier.model_dump().values()))
    console.print(accuracies)
    fills = Table(title="Fill, on the blanked cells")
    for name in ("attribute", "blanked", "filled", "coverage", "precision"):
        fills.add_column(name, justify="left" if name == "attribute" else "right")
    for name, figures in summary.fill.items():
        fills.add_row(
            name,
            f"{figures.cells:,}",
            f"{figures.filled:,}",
            _share(figures.coverage),
            _share(figures.precision),
        )
    console.print(fills)
    console.print(f"\nOpen {out / 'report.html'}", soft_wrap=True, highlight=False)


def _share(value: float | None) -> str:
    return "no rows" if value is None else f"{value:.3f}"
