"""How long work shows that it goes on: on the error stream, so that output stays clean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Advance = Callable[[int], None]


def say(text: str) -> None:
    """Tell in one line, on the error stream, what long work is about to do, or what befell it."""
    # The text may hold paths, whose brackets mean nothing, and whoever reads it may want to search.
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    console.print(text, style="dim", soft_wrap=True)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def progress_bar(description: str, total: int | None, *, shown: bool = True) -> Iterator[Advance]:
    """Show a progress bar with rate and time left; give the function that moves it on.

    Args:
        description: what is being done.
        total: how many steps there are; None where nobody knows.
        shown: False for silence (the function given then does nothing visible).
    """
    if not shown:
        yield lambda steps: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=_bar_console()) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)


def _bar_console() -> Console:
    """Give what a bar is drawn on: the error stream, or a notebook that can show moving things."""
    console = Console(stderr=True)
    if not console.is_jupyter:
        return console
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        # Rich would warn at every step. As on any stream, the bar is then shown when it is full.
        return Console(stderr=True, force_jupyter=False)
    return console
