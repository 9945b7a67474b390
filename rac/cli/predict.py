"""``rac predict``: the classes of a table's images by a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import (
    IdOption,
    ImageOption,
    ImageRootOption,
    JsonOption,
    LabelOption,
    MaxBadOption,
    PrivateHostsOption,
    TextOption,
    image_limits,
    print_json,
)


def predict(
    table: Annotated[str, typer.Argument(help="Table of items with images.")],
    model: Annotated[Path, typer.Option("--model", help="Model folder, from `rac train fit`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .parquet or .csv.")],
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="By default the encoder that the model was trained with."),
    ] = None,
    name: Annotated[str, typer.Option(help="The run's name on reports.")] = "rac",
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in one forward pass.")] = 64,
    json: JsonOption = False,
) -> None:
    """Predict the class of each image of a table; bad images go to FILE's .quarantine.csv.

    Example:

          rac predict new.csv --model runs/grocery-store-lt/model -o runs/new.parquet
    """
    from rac.classifier import RacClassifier
    from rac.embedding.cache import EmbeddingCache
    from rac.encoders import load_encoder
    from rac.prediction import check_suffix, predict_table, write_table_predictions
    from rac.tables import open_table

    check_suffix(out)
    opened = open_table(table, image=image, label=label, text=text, id=id)
    classifier = RacClassifier.load(model)
    network = load_encoder(encoder or classifier.config.encoder_name or "mini")
    with EmbeddingCache(network) as cache:
        found = predict_table(
            opened,
            classifier,
            network,
            name=name,
            batch_size=batch_size,
            max_bad=max_bad,
            cache=cache,
            limits=image_limits(image_root, allow_private_hosts),
        )
    file, quarantine = write_table_predictions(found, out)
    branches = found.predictions.metadata["branches"]
    if json:
        print_json(
            {
                "rows": len(found.predictions),
                "bad_images": len(found.quarantine),
                "branches": branches,
                "file": str(file),
                "quarantine": str(quarantine),
            }
        )
        return
    typer.echo(f"{len(found.predictions):,} rows, {len(found.quarantine):,} bad images: {file}")
    if branches == "base":
        typer.echo("the memory is empty: the base branch answered alone", err=True)
    if found.quarantine:
        typer.echo(f"bad images with their reasons: {quarantine}")
