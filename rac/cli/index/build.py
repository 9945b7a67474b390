"""``rac index build``: a memory from the images of a table."""

from __future__ import annotations

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
    OutOption,
    PrivateHostsOption,
    TextOption,
    image_limits,
)
from rac.cli.index.options import (
    METRIC_HELP,
    ForceOption,
    IndexKind,
    IndexOption,
    KeepOption,
    LatencyOption,
    MaxMemoryOption,
    MetricName,
    RecallOption,
    Space,
    TableArgument,
    index_plan,
)


def build(
    table: TableArgument,
    out: OutOption,
    encoder: EncoderOption = "mini",
    metric: Annotated[MetricName, typer.Option(help=METRIC_HELP)] = MetricName.cosine,
    space: Annotated[
        Space,
        typer.Option(help="trunk: the network's features; embedding: shared with texts."),
    ] = Space.trunk,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    keep: KeepOption = None,
    search_texts: Annotated[
        bool,
        typer.Option("--search-texts", help="Embed the texts too, for `search --text --in texts`."),
    ] = False,
    dedup: Annotated[
        float | None,
        typer.Option(
            "--dedup",
            min=-1.0,
            max=1.0,
            help="Leave out a row whose cosine with an earlier one is at least this.",
        ),
    ] = None,
    index: IndexOption = IndexKind.auto,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = 0.95,
    latency_ms: LatencyOption = 20.0,
    force: ForceOption = False,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Embed the images of a table and store them as a memory in DIR.

    A folder that holds a memory gets the new one as its next version; bad images are left out.
    What is in RAM does not grow with the table.

    Example:

        rac index build products.csv --label category --metric whitened -o runs/memory
    """
    from rac.cli.index.embedded import EmbeddedRows, base_of
    from rac.cli.index.told import tell_written
    from rac.encoders import load_encoder
    from rac.tables import open_table
    from retrieval_index import Memory

    plan = index_plan(index, max_memory, recall, latency_ms)
    opened = open_table(table, image=image, label=label, text=text, id=id)
    network = load_encoder(encoder)
    limits = image_limits(image_root, allow_private_hosts)
    rows = EmbeddedRows(
        opened, network, space, limits, max_bad=max_bad, keep=keep, texts=search_texts
    )
    memory = Memory.build(
        out,
        rows.batches(),
        encoder=network.identity,
        encoder_name=network.name,
        space=space.value,
        metric=metric.value,
        images_from=base_of(opened),
        plan=plan,
        force=force,
        dedup=dedup,
    )
    repeated = rows.rows - len(memory)
    what = f"{len(memory):,} rows added"
    if repeated:
        what += f" ({repeated:,} near-duplicates left out)"
    tell_written(
        memory, what, json, added=len(memory), bad_images=rows.bad, near_duplicates=repeated
    )
