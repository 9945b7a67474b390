"""``rac fill audit``: known values that look wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    refuse_input_as_output,
)


def audit(
    table: Annotated[
        str,
        typer.Argument(
            help="Table of items with images; also postgresql://HOST/DATABASE?table=TABLE."
        ),
    ],
    schema: Annotated[Path, typer.Option("--schema", help="Attribute schema, a YAML file.")],
    out: OutOption,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    top: Annotated[int, typer.Option(min=0, help="Cells to show.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of folds and samples.")] = 0,
    json: JsonOption = False,
) -> None:
    """Rank the known values that image, neighbours and the row's other cells contradict.

    Nothing is changed. OUT then holds audit.csv: known cells, the most doubtful first, with
    the probability that it is wrong, the likeliest other value, and the nearest rows. The
    embeddings in OUT serve a later `rac fill -o OUT` too.

    Example:

          rac fill audit products.csv --schema schema.yaml -o runs/products
          rac fill audit 'postgresql://db/shop?table=public.items' --schema schema.yaml -o runs/shop
    """
    from dataclasses import asdict

    from rac.attributes.audit import audit_cells, write_doubts
    from rac.attributes.prepare import FillOptions, prepare_fill
    from rac.attributes.run_folder import RUN_FILES, RunFolder
    from rac.attributes.schema import load_schema
    from rac.attributes.source import opened_table
    from rac.embedding import EmbeddingCache
    from rac.encoders import load_encoder

    refuse_input_as_output([table, schema], *(out / name for name in RUN_FILES))
    attributes = load_schema(schema)
    base = image_root[0] if image_root else Path.cwd()
    network = load_encoder(encoder)
    with (
        opened_table(table, wanted=attributes.looked_at, image=image, id=id, base=base) as opened,
        RunFolder.locked(out) as folder,
        EmbeddingCache(network) as cache,
    ):
        job = prepare_fill(
            opened,
            attributes,
            network,
            folder,
            FillOptions(max_bad=max_bad, seed=seed),
            cache=cache,
            image_limits=image_limits(image_root, allow_private_hosts),
        )
        doubts = audit_cells(job)
        write_doubts(doubts, out / "audit.csv")
        folder.note("audited")
    if json:
        print_json(
            {
                "cells": len(doubts),
                "file": str(out / "audit.csv"),
                "doubtful": [asdict(doubt) for doubt in doubts[:top]],
            }
        )
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=f"{len(doubts):,} known cells, the most doubtful first")
    for heading in ("id", "attribute", "says", "wrong", "rather"):
        shown.add_column(heading, overflow="fold")
    for doubt in doubts[:top]:
        shown.add_row(
            escape(doubt.id),
            escape(doubt.attribute),
            escape(doubt.value),
            f"{doubt.wrong:.3f}",
            escape(f"{doubt.suggestion} ({doubt.probability:.2f})"),
        )
    console = Console()
    console.print(shown)
    console.print(
        f"all of them, with the nearest rows: {escape(str(out / 'audit.csv'))}", soft_wrap=True
    )
