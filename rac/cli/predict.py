"""``rac predict``: the classes of a table's images by a trained model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
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
    refuse_input_as_output,
)


def predict(
    table: Annotated[str, typer.Argument(help="Table of items with images.")],
    model: Annotated[Path, typer.Option("--model", help="Model folder, from `rac train fit`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write: .parquet or .csv.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="By default the encoder that the model was trained with; a folder must be named.",
        ),
    ] = None,
    memory_encoder: Annotated[
        str | None,
        typer.Option(
            "--memory-encoder",
            help="Of a memory with an encoder of its own; by default the one it was made with.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The run's name on reports.")] = "rac",
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65_536, help="Images in one forward pass.")
    ] = 64,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an unfinished run has left.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Predict the class of each image of a table; bad images go to FILE's .quarantine.csv.

    A run that was killed is gone on with by the same command; its rows wait in FILE.unfinished.
    FILE is written whole, at the end. A model whose memory has an encoder of its own embeds each
    image twice.

    Example:

          rac predict new.csv --model runs/grocery-store-lt/model -o runs/new.parquet
    """
    from rac.classifier import RacClassifier
    from rac.embedding.cache import EmbeddingCache
    from rac.encoders import load_encoder
    from rac.encoders.load import usable_name
    from rac.errors import InputError
    from rac.prediction import check_suffix, predict_to_file
    from rac.prediction_features import Embedder
    from rac.tables import open_table

    check_suffix(out)
    refuse_input_as_output([table], out, out.with_name(f"{out.stem}.quarantine.csv"))
    opened = open_table(table, image=image, label=label, text=text, id=id)
    classifier = RacClassifier.load(model)
    config = classifier.config
    if memory_encoder is not None and config.memory_encoder is None:
        raise InputError(f"{model}: its memory is of the same encoder as its base branch")
    network = load_encoder(encoder or usable_name(config.encoder_name, model))
    with ExitStack() as caches:
        memory = None
        if config.memory_encoder is not None:
            stored = config.memory_encoder.encoder_name
            other = load_encoder(memory_encoder or usable_name(stored, model, "--memory-encoder"))
            memory = Embedder(other, caches.enter_context(EmbeddingCache(other)))
        done = predict_to_file(
            opened,
            classifier,
            network,
            out,
            name=name,
            batch_size=batch_size,
            max_bad=max_bad,
            cache=caches.enter_context(EmbeddingCache(network)),
            memory=memory,
            limits=image_limits(image_root, allow_private_hosts),
            restart=restart,
        )
    if json:
        print_json(asdict(done))
        return
    before = f", {done.resumed_rows:,} of them done before" if done.resumed_rows else ""
    typer.echo(f"{done.rows:,} rows{before}, {done.bad_images:,} bad images: {done.file}")
    if done.branches == "base":
        typer.echo("the memory is empty: the base branch answered alone", err=True)
    if done.bad_images:
        typer.echo(f"bad images with their reasons: {done.quarantine}")
