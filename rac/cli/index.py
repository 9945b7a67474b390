"""``rac index``: make a memory of labelled images, look into it, and check it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_json,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from rac.tables import Table
    from retrieval_index import Manifest, Memory

app = typer.Typer(help="The memory: build, search, extend and check it.", no_args_is_help=True)


class MetricName(StrEnum):
    """What makes two images near."""

    cosine = "cosine"
    whitened = "whitened"
    evened = "evened"


class Space(StrEnum):
    """Which of the encoder's outputs a memory holds."""

    embedding = "embedding"
    trunk = "trunk"


MemoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the memory.")]
TableArgument = Annotated[str, typer.Argument(help="Table of items with images.")]
StoredEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder", help="Encoder for the new images; by default the one that made the memory."
    ),
]


@app.command()
def build(
    table: TableArgument,
    out: OutOption,
    encoder: EncoderOption = "mini",
    metric: Annotated[
        MetricName,
        typer.Option(
            help="cosine; whitened: fitted to the labels, better for fine classes; evened: the "
            "same on the square roots of trunk features, as `rac train` does."
        ),
    ] = MetricName.cosine,
    space: Annotated[
        Space,
        typer.Option(help="trunk: the network's features; embedding: shared with texts."),
    ] = Space.trunk,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    r"""Embed the images of a table and store them as a memory in DIR.

    A folder that holds a memory gets the new one as its next version; bad images are left out.

    \b
    Example:
      rac index build products.csv --label category --metric whitened -o runs/memory
    """
    from rac.encoders import load_encoder
    from rac.tables import open_table
    from retrieval_index import Memory

    opened = open_table(table, image=image, label=label, text=text, id=id)
    network = load_encoder(encoder)
    limits = image_limits(image_root, allow_private_hosts)
    vectors, rows, bad = _embed(opened, network, space, max_bad, limits)
    memory = Memory.create(
        out,
        vectors,
        rows,
        encoder=network.identity,
        encoder_name=network.name,
        space=space.value,
        metric=metric.value,
    )
    _tell_written(memory, len(rows), bad, json)


@app.command()
def add(
    folder: MemoryArgument,
    table: TableArgument,
    encoder: StoredEncoderOption = None,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    r"""Embed the images of a table and add them to a memory, all at once or not at all.

    \b
    Example:
      rac index add runs/memory new-products.csv --label category
    """
    from rac.tables import open_table
    from retrieval_index import Memory

    memory = Memory.open(folder)
    opened = open_table(table, image=image, label=label, text=text, id=id)
    network = _encoder_for(memory, encoder)
    limits = image_limits(image_root, allow_private_hosts)
    vectors, rows, bad = _embed(opened, network, Space(memory.manifest.space), max_bad, limits)
    _tell_written(memory.add(vectors, rows), len(rows), bad, json)


@app.command()
def search(
    folder: MemoryArgument,
    image: Annotated[str, typer.Argument(help="Path or URL of an image.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours wanted.")] = 10,
    encoder: StoredEncoderOption = None,
    json: JsonOption = False,
) -> None:
    r"""Show the rows of a memory that are nearest to an image, best first.

    \b
    Example:
      rac index search runs/memory photo.jpg -k 5
    """
    import numpy as np

    from rac.errors import InputError
    from rac.images import BadImage, ImageLimits, decode_pixels, read_image_bytes
    from retrieval_index import Memory

    # The person who types a path may read it, wherever it lies.
    limits = ImageLimits(allow_outside=True)
    memory = Memory.open(folder)
    network = _encoder_for(memory, encoder)
    try:
        data = read_image_bytes(image, Path.cwd(), limits)
        decoded = decode_pixels(data, limits, target=network.decode_target)
    except BadImage as fault:
        raise InputError(f"{image}: {fault}") from fault
    features = network.encode_images(np.stack([network.preprocess(decoded)]))
    found = memory.search(getattr(features, Space(memory.manifest.space).value), k)
    neighbours = [
        {
            "id": memory.ids[row],
            "score": round(float(score), 6),
            "label": memory.labels[row],
            "text": memory.texts[row],
            "source": memory.sources[row],
        }
        for row, score in zip(found.rows[0], found.scores[0], strict=True)
        if row >= 0
    ]
    if json:
        print_json({"image": image, "memory": str(folder), "neighbours": neighbours})
    else:
        _print_neighbours(neighbours, image)


@app.command()
def info(folder: MemoryArgument, json: JsonOption = False) -> None:
    r"""Say what a memory holds and how it was made.

    \b
    Example:
      rac index info runs/memory
    """
    from retrieval_index import Memory

    memory = Memory.open(folder)
    known = [label for label in memory.labels if label is not None]
    facts = {
        "folder": str(folder),
        **memory.manifest.model_dump(exclude={"files", "segments", "format"}),
        "labelled": len(known),
        "classes": len(set(known)),
        "bytes": sum(entry.bytes for entry in memory.manifest.all_files()),
    }
    if json:
        print_json(facts)
    else:
        _print_facts(facts, memory.manifest)


@app.command()
def verify(folder: MemoryArgument, json: JsonOption = False) -> None:
    r"""Check every byte of a memory, and that its parts agree; a damaged file is named.

    \b
    Example:
      rac index verify runs/memory
    """
    from retrieval_index import verify_folder

    manifest = verify_folder(folder)
    if json:
        print_json({"ok": True, "version": manifest.version, "count": manifest.count})
    else:
        typer.echo(f"{folder}: version {manifest.version} is sound, {manifest.count:,} rows")


def _encoder_for(memory: Memory, name: str | None) -> Encoder:
    """Load the encoder that is asked for, or that made the memory, and refuse another."""
    from rac.encoders import load_encoder

    network = load_encoder(name or memory.manifest.encoder_name or "mini")
    memory.require(encoder=network.identity)
    return network


def _embed(
    table: Table, encoder: Encoder, space: Space, max_bad: float | None, limits: ImageLimits
) -> tuple[npt.NDArray[np.float32], pa.Table, int]:
    """Give (N, D) vectors and N rows of the images that could be read, and how many could not."""
    import numpy as np

    from rac.embedding import embed_table
    from rac.embedding.cache import EmbeddingCache
    from rac.errors import InputError, JobFailed
    from retrieval_index import make_rows

    parts = []
    items = []
    hashes = []
    bad = 0
    reason = None
    with EmbeddingCache(encoder) as cache:
        for batch in embed_table(table, encoder, cache=cache, max_bad=max_bad, limits=limits):
            features = batch.trunk if space is Space.trunk else batch.embedding
            parts.append(features[batch.ok])
            for item, ok, digest, why in zip(
                batch.items, batch.ok, batch.hashes, batch.reasons, strict=True
            ):
                if ok:
                    items.append(item)
                    hashes.append(digest)
                else:
                    bad += 1
                    reason = reason or f"{item.id}: {why}"
    if not items and not bad:
        raise InputError(f"{table.source}: the table has no rows")
    if not items:
        raise JobFailed(f"{table.source}: none of the {bad:,} images can be used; {reason}")
    if bad:
        typer.echo(f"{bad:,} bad images are left out, the first is {reason}", err=True)
    rows = make_rows(
        [item.id for item in items],
        labels=[item.label for item in items],
        texts=[item.text for item in items],
        sources=[item.image if isinstance(item.image, str) else None for item in items],
        content_hashes=hashes,
    )
    return np.concatenate(parts), rows, bad


def _tell_written(memory: Memory, added: int, bad: int, json: bool) -> None:
    if json:
        print_json(
            {
                "folder": str(memory.folder),
                "version": memory.manifest.version,
                "added": added,
                "bad_images": bad,
                "count": len(memory),
                "dim": memory.dim,
                "metric": memory.metric.name,
                "space": memory.manifest.space,
                "encoder": memory.manifest.encoder,
            }
        )
    else:
        typer.echo(
            f"{memory.folder}: version {memory.manifest.version}, {added:,} rows added, "
            f"{len(memory):,} in all ({memory.manifest.space}, {memory.metric.name})"
        )


def _print_neighbours(neighbours: list[dict[str, Any]], image: str) -> None:
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(f"nearest to {image}"))
    grid.add_column("score", justify="right")
    columns = [c for c in ("id", "label", "text", "source") if any(n[c] for n in neighbours)]
    for column in columns:
        grid.add_column(column, overflow="fold")
    for neighbour in neighbours:
        # Text, not str: a caption in square brackets is not markup.
        cells = [Text(neighbour[column] or "") for column in columns]
        grid.add_row(f"{neighbour['score']:.3f}", *cells)
    Console().print(grid)


def _print_facts(facts: dict[str, Any], manifest: Manifest) -> None:
    recall = manifest.index.measured_recall
    shown = {
        "memory": facts["folder"],
        "version": f"{manifest.version} of {manifest.created}",
        "kept for going back": manifest.previous or "none",
        "rows": f"{manifest.count:,}",
        "labelled": f"{facts['labelled']:,} in {facts['classes']:,} classes",
        "encoder": f"{manifest.encoder_name or '(unnamed)'}, identity {manifest.encoder}",
        "space": f"{manifest.space}, dimension {manifest.dim}",
        "metric": manifest.metric,
        "index": f"{manifest.index.kind}, "
        + ("exact" if recall is None else f"recall@10 {recall:.3f}"),
        "size": f"{facts['bytes'] / 1e6:,.1f} MB",
        "format": f"version {manifest.format_version}",
    }
    wide = max(map(len, shown))
    for name, value in shown.items():
        typer.echo(f"{name:<{wide}}  {value}")
