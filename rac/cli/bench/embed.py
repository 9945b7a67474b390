"""``rac bench embed``: images to embeddings, beside a plain loop and a pipeline."""

from __future__ import annotations

from typing import Annotated

import typer

from rac.cli.common import (
    EncoderOption,
    ImageOption,
    JsonOption,
    PrecisionOption,
    RuntimeOption,
    print_json,
)


def embed(
    images: Annotated[str, typer.Option("--images", help="Table of items with images.")],
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    limit: Annotated[int, typer.Option(min=2, help="Images, from the table's start.")] = 256,
    rounds: Annotated[int, typer.Option(min=1, help="How often each side runs.")] = 3,
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Embed images with our engine, a plain loop of open_clip, and a pipeline of transformers.

    All sides run in turns on the same files. ENCODER may also be untrained:MODEL, an open_clip
    architecture with random weights: the speed is the same. The pipeline needs the transformers
    package.

    Example:

          rac bench embed --encoder mini --images grocery-store:test --json
          rac bench embed --encoder untrained:ViT-B-32 --images photos/ --json
    """
    from rac.bench.embed import bench_embed
    from rac.tables import open_table

    result = bench_embed(
        encoder,
        open_table(images, image=image),
        images=limit,
        rounds=rounds,
        runtime=runtime,
        precision=precision,
    )
    if json:
        print_json(result.model_dump())
        return
    for name, value in result.model_dump().items():
        typer.echo(f"{name:28} {value}")
