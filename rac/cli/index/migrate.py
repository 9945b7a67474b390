"""``rac index migrate``: a memory moved to another encoder."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import (
    IdOption,
    ImageOption,
    ImageRootOption,
    JsonOption,
    MaxBadOption,
    PrivateHostsOption,
    image_limits,
    print_json,
)
from rac.cli.index.options import ForceOption, MemoryArgument, Space

if TYPE_CHECKING:
    from rac.memory_migration import Migration


def migrate(
    folder: MemoryArgument,
    encoder: Annotated[str, typer.Option("--encoder", help="Encoder to move to.")],
    table: Annotated[
        str | None,
        typer.Option("--table", help="Table with ids and images; by default what is recorded."),
    ] = None,
    images_from: Annotated[
        Path | None,
        typer.Option("--images-from", help="Folder that the recorded references start from."),
    ] = None,
    image: ImageOption = None,
    id: IdOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compare only; publish nothing.")
    ] = False,
    max_drop: Annotated[
        float,
        typer.Option(
            "--max-drop",
            min=0.0,
            max=1.0,
            help="Refuse to publish where leave-one-out accuracy falls by more than this.",
        ),
    ] = 0.02,
    force: ForceOption = False,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Embed a memory's images again with another encoder, compare both, and publish the new one.

    Ids, labels, texts and other columns stay; the metric is fitted again. A row whose image can
    no longer be read is left out and counted. `rac index rollback` goes back.

    Example:

        rac index migrate runs/memory --encoder ViT-B-32/laion2b_s34b_b79k --dry-run
    """
    from rac.cli.index.embedded import EmbeddedRows
    from rac.cli.index.told import tell_written
    from rac.encoders import load_encoder
    from rac.errors import JobFailed
    from rac.memory_migration import compare, recorded_images, with_rows_of
    from rac.tables import open_table
    from retrieval_index import Memory

    memory = Memory.open(folder)
    network = load_encoder(encoder)
    made = memory.manifest
    limits = image_limits(image_root, allow_private_hosts)
    with TemporaryDirectory(prefix="rac-migrate-") as place:
        if table is None:
            opened, base = recorded_images(memory, images_from, Path(place))
            limits = replace(limits, roots=(*limits.roots, base))
        else:
            opened = open_table(table, image=image, id=id)
        rows = EmbeddedRows(opened, network, Space(made.space), limits, max_bad=max_bad)
        texts = network.encode_texts if memory.text_dim is not None else None
        after = Memory.build(
            Path(place) / "memory",
            with_rows_of(memory, rows.batches(), texts),
            encoder=network.identity,
            encoder_name=network.name,
            space=made.space,
            metric=made.metric,
            images_from=made.images_from,
            plan=made.plan,
            force=force,
        )
        outcome = compare(memory, after)
        drop = (outcome.old_accuracy or 0.0) - (outcome.new_accuracy or 0.0)
        if not json:
            _print_migration(outcome, made.encoder_name or made.encoder, network.name)
        if dry_run:
            if json:
                print_json({"folder": str(folder), "published": False, **asdict(outcome)})
            return
        if drop > max_drop and not force:
            raise JobFailed(
                f"{folder}: accuracy would fall by {drop:.3f}, more than --max-drop {max_drop:g}; "
                "nothing was published. Look at it, then publish with --force"
            )
        published = memory.replaced_by(after)
    tell_written(
        published, f"{len(published):,} rows moved", json, published=True, **asdict(outcome)
    )


def _print_migration(outcome: Migration, old: str, new: str) -> None:
    typer.echo(
        f"{outcome.embedded:,} of {outcome.rows:,} rows embedded; "
        f"{outcome.compared:,} compared: {outcome.overlap:.3f} of the ten nearest agree"
    )
    if outcome.old_accuracy is not None and outcome.new_accuracy is not None:
        typer.echo(
            f"leave-one-out accuracy {outcome.old_accuracy:.3f} with {old}, "
            f"{outcome.new_accuracy:.3f} with {new}"
        )
