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
    PrecisionOption,
    PrivateHostsOption,
    RuntimeOption,
    image_limits,
    print_json,
    refuse_input_as_output,
)


def embed(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Table of items with images.")],
    out: OutOption,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Images in one forward pass.")
    ] = 64,
    trunk: Annotated[
        bool,
        typer.Option("--trunk", help="Write the trunk features too, in a column of their own."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an unfinished run has left in OUT.")
    ] = False,
    runtime: RuntimeOption = "auto",
    precision: PrecisionOption = "auto",
    json: JsonOption = False,
) -> None:
    """Embed the images of a table into OUT/embeddings.parquet.

    Columns: id, embedding, status (ok or bad), reason, content_hash. OUT/manifest.json says what
    was done and what the job waited for. A run that was killed goes on where it was when the same
    command is given again.

    Example:

          rac embed products.csv --image photo -o runs/embeddings
    """
    from rac.embedding import EmbeddingCache
    from rac.embedding.job import write_embeddings
    from rac.encoders import load_encoder
    from rac.tables import open_table

    refuse_input_as_output([table], out / "embeddings.parquet", out / "manifest.json")
    opened = open_table(table, image=image, id=id)
    network = load_encoder(encoder, runtime=runtime, precision=precision)
    with EmbeddingCache(network) as cache:
        summary = write_embeddings(
            opened,
            network,
            out,
            cache=cache,
            max_bad=max_bad,
            limits=image_limits(image_root, allow_private_hosts),
            batch_size=batch_size,
            trunk=trunk,
            restart=restart,
        )
    if json:
        print_json(summary.model_dump())
    else:
        waited = ", ".join(f"{stage} {spent:.1f}" for stage, spent in summary.waited_s.items())
        typer.echo(
            f"{summary.rows - summary.bad_images:,} images embedded, {summary.bad_images:,} bad: "
            f"{summary.file}\n"
            f"{summary.images_per_s:,.0f} rows/s, {summary.runtime or 'no network needed'}; "
            f"seconds waited for: {waited}"
        )
