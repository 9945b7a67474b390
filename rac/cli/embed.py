"""``rac embed``: embeddings of a table's images, as Parquet."""

from __future__ import annotations

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
)


def embed(
    table: Annotated[str, typer.Argument(help="Table of items with images.")],
    out: OutOption,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one forward pass.")] = 64,
    json: JsonOption = False,
) -> None:
    r"""Embed the images of a table into OUT/embeddings.parquet.

    Columns: id, embedding, trunk, status (ok or bad), reason, content_hash.

    \b
    Example:
      rac embed products.csv --image photo -o runs/embeddings
    """
    from rac.embedding_cache import EmbeddingCache
    from rac.embedding_file import write_embeddings
    from rac.encoders import load_encoder
    from rac.tables import open_table

    opened = open_table(table, image=image, id=id)
    network = load_encoder(encoder)
    with EmbeddingCache(network) as cache:
        summary = write_embeddings(
            opened,
            network,
            out,
            cache=cache,
            max_bad=max_bad,
            limits=image_limits(image_root, allow_private_hosts),
            batch_size=batch_size,
        )
    if json:
        print_json(summary.model_dump())
    else:
        typer.echo(
            f"{summary.rows - summary.bad_images:,} images embedded, {summary.bad_images:,} bad: "
            f"{summary.file}"
        )
