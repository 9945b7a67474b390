"""``rac fill``: missing attribute values, filled where they can be vouched for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import (
    EncoderOption,
    IdOption,
    ImageOption,
    ImageRootOption,
    JsonOption,
    MaxBadOption,
    OutOption,
    PrivateHostsOption,
    image_limits,
    print_json,
)

if TYPE_CHECKING:
    from rac.attributes.fill import FillSummary


def fill(
    table: Annotated[str, typer.Argument(help="Table of items with images.")],
    schema: Annotated[Path, typer.Option("--schema", help="Attribute schema, a YAML file.")],
    out: OutOption,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    target: Annotated[
        float | None,
        typer.Option(help="Target precision for every attribute, in place of the schema's."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="With which the target precision is promised.")
    ] = 0.95,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Consider only so many rows, from the start.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide everything, but write no filled copy.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of folds and samples.")] = 0,
    json: JsonOption = False,
) -> None:
    r"""Fill missing attribute values from the images, and write down why.

    A cell is filled where its value is right with the target precision, judged on cells whose
    value is known; otherwise it stays as it is. Known cells are never touched.

    OUT then holds the filled copy in the table's own format, ledger.parquet (one row for every
    cell: what was decided, how sure, what it rests on), quarantine.csv (bad images with reasons),
    run.json and summary.json. Run again with another schema or target, it opens no image.

    \b
    The schema:
      version: 1
      attributes:
        colour: {values: [red, {name: navy, synonyms: [dark blue]}]}
        sleeve: {column: Sleeve, target_precision: 0.9}

    \b
    Example:
      rac fill products.csv --schema schema.yaml -o runs/products
    """
    from rac.attributes.fill import fill_table
    from rac.attributes.schema import load_schema
    from rac.embedding.cache import EmbeddingCache
    from rac.encoders import load_encoder
    from rac.errors import InputError
    from rac.tables import open_table

    attributes = load_schema(schema)
    if target is not None:
        if not 0 < target < 1:
            raise InputError(f"--target must lie between 0 and 1, not {target:g}")
        attributes = attributes.with_target(target)
    opened = open_table(table, image=image, id=id)
    network = load_encoder(encoder)
    with EmbeddingCache(network) as cache:
        summary = fill_table(
            opened,
            attributes,
            network,
            out,
            max_bad=max_bad,
            confidence=confidence,
            seed=seed,
            limit=limit,
            dry_run=dry_run,
            cache=cache,
            image_limits=image_limits(image_root, allow_private_hosts),
        )
    if json:
        print_json(summary.as_json())
    else:
        _print(summary)


def _print(summary: FillSummary) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    shown = Table(title=f"{summary.rows:,} rows, {summary.bad_images:,} bad images")
    shown.add_column("attribute")
    for heading in ("missing", "filled", "coverage", "expected precision", "at least", "target"):
        shown.add_column(heading, justify="right")
    for name, one in summary.attributes.items():
        shown.add_row(
            escape(name),
            f"{one.missing:,}",
            f"{one.filled:,}",
            _share(one.coverage),
            _share(one.expected_precision) if one.source == "fused" else "not known",
            _share(one.precision_bound),
            f"{one.target_precision:g}",
        )
    console.print(shown)
    for name, one in summary.attributes.items():
        if one.reason:
            rule = "nothing is filled" if one.threshold is None else one.source
            console.print(f"{escape(name)}: {rule}: {escape(one.reason)}")
        if one.held_back:
            console.print(f"{escape(name)}: held back: {escape(', '.join(one.held_back))}")
    if summary.new_columns:
        console.print(f"new columns: {escape(', '.join(summary.new_columns))}")
    if summary.duplicate_ids:
        named = ", ".join(summary.first_duplicates)
        console.print(f"{summary.duplicate_ids:,} rows repeat an id: {escape(named)}, ...")
    for reason, count in summary.bad_reasons.items():
        console.print(f"bad images: {escape(reason)}: {count:,}")
    for kind, path in summary.files.items():
        console.print(f"{kind}: {escape(path)}", soft_wrap=True)


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"
