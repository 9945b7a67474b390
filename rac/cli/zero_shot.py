"""``rac zero-shot``: how far the names of the classes alone go."""

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
    LabelOption,
    MaxBadOption,
    PrivateHostsOption,
    image_limits,
    print_json,
    refuse_input_as_output,
)


def zero_shot(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="Table of labelled items with images.")
    ],
    label: LabelOption = None,
    encoder: EncoderOption = "mini",
    image: ImageOption = None,
    id: IdOption = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="Prompt with {} where the class goes; repeat it for an ensemble."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            help="Let the table's images that look alike help each other, without their labels; "
            "or judge every image by itself."
        ),
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Predictions (.parquet) for `rac report`.")
    ] = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Classify the images of a table by the names of its classes, and say how often that is right.

    Example:

          rac zero-shot grocery-store:test --label coarse
    """
    from eval.image_sets import image_set
    from eval.metrics import accuracy, macro_accuracy, top_k_accuracy
    from eval.predictions import Predictions, write_predictions
    from rac.embedding.cache import EmbeddingCache
    from rac.encoders import load_encoder
    from rac.encoders.base import DEFAULT_TEMPLATES
    from rac.errors import InputError
    from rac.tables import open_table
    from rac.zero_shot_classification import classify_zero_shot

    if out is not None:
        refuse_input_as_output([table], out)
    if out is not None and out.suffix.lower() != ".parquet":
        raise InputError(f"{out}: predictions are written as .parquet")
    opened = open_table(table, image=image, label=label, id=id)
    network = load_encoder(encoder)
    with EmbeddingCache(network) as cache:
        found = classify_zero_shot(
            opened,
            network,
            templates=template or DEFAULT_TEMPLATES,
            together=together,
            max_bad=max_bad,
            cache=cache,
            limits=image_limits(image_root, allow_private_hosts),
        )
    if out is not None:
        predictions = Predictions(
            name=f"{network.name} zero-shot",
            ids=found.ids,
            labels=found.labels,
            predictions=[found.classes[index] for index in found.predicted],
            classes=found.classes,
            scores=found.scores,
            # No image was trained on or chosen by.
            training=image_set([]),
            selection=image_set([]),
            metadata={
                "table": table,
                "encoder": network.name,
                "encoder identity": network.identity,
                "images": "judged together" if together else "judged each by itself",
                "left out": f"{found.left_out} rows without a label, {found.bad_images} bad images",
            },
        )
        write_predictions(predictions, out)
    alone = found.cosines.argmax(axis=1)
    result = {
        "top1": accuracy(found.truth, found.predicted),
        "top5": top_k_accuracy(found.scores, found.truth, 5),
        "macro": macro_accuracy(found.truth, found.predicted, len(found.classes)),
        "top1_alone": accuracy(found.truth, alone),
        "macro_alone": macro_accuracy(found.truth, alone, len(found.classes)),
        "classes": len(found.classes),
        "rows": len(found.ids),
        "bad_images": found.bad_images,
        "left_out": found.left_out,
        "encoder": network.name,
        "encoder_identity": network.identity,
    }
    if json:
        print_json(result)
        return
    for name, value in result.items():
        typer.echo(f"{name:18s} {value:.3f}" if isinstance(value, float) else f"{name:18s} {value}")
