"""``rac index export`` and ``import``: NumPy, Parquet and raw FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rac.cli.common import JsonOption, OutOption, print_json
from rac.cli.index.options import (
    METRIC_HELP,
    ForceOption,
    IndexKind,
    IndexOption,
    LatencyOption,
    MaxMemoryOption,
    MemoryArgument,
    MetricName,
    RecallOption,
    Space,
    index_plan,
)


def export(folder: MemoryArgument, out: OutOption, json: JsonOption = False) -> None:
    """Write a memory as plain files that other programs read.

    vectors.npy, rows.parquet, index.faiss (exact, inner product, ids are row numbers),
    metric.npz, memory.json, and texts.npy where there are text vectors.

    Example:

        rac index export runs/memory -o plain
    """
    from retrieval_index import Memory, export_memory

    files = export_memory(Memory.open(folder), out)
    if json:
        print_json({"folder": str(out), "files": [path.name for path in files]})
    else:
        typer.echo(f"{out}: {', '.join(path.name for path in files)}")


def import_plain(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="What `rac index export` wrote."),
    ] = None,
    out: OutOption = Path("memory"),
    rows: Annotated[
        Path | None, typer.Option("--rows", help="Parquet file of rows, in place of FOLDER.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", help=".npy of their vectors.")
    ] = None,
    faiss: Annotated[
        Path | None, typer.Option("--faiss", help="Raw FAISS index of their vectors instead.")
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", help="Encoder that made the vectors.")
    ] = "mini",
    space: Annotated[Space, typer.Option(help="Which of its outputs they are.")] = Space.embedding,
    metric: Annotated[
        MetricName | None, typer.Option(help=f"{METRIC_HELP} A FOLDER brings its own.")
    ] = None,
    id: Annotated[str, typer.Option("--id", help="Column with the ids.", metavar="COLUMN")] = "id",
    label: Annotated[
        str | None, typer.Option("--label", help="Column with the classes.", metavar="COLUMN")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Column with captions.", metavar="COLUMN")
    ] = None,
    image: Annotated[
        str | None,
        typer.Option("--image", help="Column with image references.", metavar="COLUMN"),
    ] = None,
    index: IndexOption = IndexKind.auto,
    max_memory: MaxMemoryOption = None,
    recall: RecallOption = 0.95,
    latency_ms: LatencyOption = 20.0,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Make a memory from vectors and rows that are there already; nothing is embedded.

    Example:

        rac index import --vectors img_emb.npy --rows metadata.parquet --id url -o runs/memory
    """
    from rac.cli.index.told import tell_written
    from rac.encoders import load_encoder
    from rac.errors import InputError
    from retrieval_index import Memory, plain_batches, read_exported

    plan = index_plan(index, max_memory, recall, latency_ms)
    if (source is None) == (rows is None):
        raise InputError("name a FOLDER that was exported, or --rows with --vectors or --faiss")
    if source is not None:
        facts, fitted, batches = read_exported(source)
        memory = Memory.build(
            out,
            batches,
            encoder=facts.encoder,
            encoder_name=facts.encoder_name,
            space=facts.space,
            images_from=facts.images_from,
            metric=metric.value if metric else fitted,
            plan=plan,
            force=force,
        )
    else:
        if (vectors is None) == (faiss is None):
            raise InputError("name the vectors: --vectors FILE.npy or --faiss FILE, one of them")
        network = load_encoder(encoder)
        columns = {"id": id, "label": label, "text": text, "source": image}
        memory = Memory.build(
            out,
            plain_batches(
                str(rows),
                vectors=vectors,
                index=faiss,
                columns={name: column for name, column in columns.items() if column is not None},
            ),
            encoder=network.identity,
            encoder_name=network.name,
            space=space.value,
            metric=metric.value if metric else MetricName.cosine.value,
            plan=plan,
            force=force,
        )
    tell_written(memory, f"{len(memory):,} rows imported", json, added=len(memory))
