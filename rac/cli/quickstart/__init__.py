"""``rac quickstart``: the whole product on real pictures, start to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import EncoderOption, JsonOption, OutOption, print_json


def quickstart(
    out: OutOption = Path("runs/quickstart"),
    encoder: EncoderOption = "mini",
    blank: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the known cells to blank.")
    ] = 0.4,
    seed: Annotated[int, typer.Option(min=0, help="Of the blanks, the training, the fill.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make a catalogue of real pictures, classify its long tail, fill its blanked cells, report.

    The pictures are the Tux Paint stamps, where they are installed, and a fashion data set of a
    public hub otherwise. Everything lands in OUT: the catalogue before and after, the memory, the
    classifier, its predictions, the ledger of the fill, summary.json and report.html.

    Example:

          rac quickstart -o runs/quickstart
    """
    from rac.cli.quickstart.job import run_quickstart
    from rac.cli.quickstart.summary import print_summary

    summary = run_quickstart(out, encoder_name=encoder, blank=blank, seed=seed)
    if json:
        print_json(summary.model_dump())
    else:
        print_summary(summary, out)
