"""``rac index search``, ``info`` and ``verify``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rac.cli.common import JsonOption, print_json
from rac.cli.index.options import (
    MemoryArgument,
    Space,
    StoredEncoderOption,
    WhereOption,
    conditions,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rac.encoders import Encoder
    from retrieval_index import Memory, Neighbours


_VALUES_SHOWN = 12


class Among(StrEnum):
    """What a text is compared with."""

    images = "images"
    texts = "texts"


def search(
    folder: MemoryArgument,
    image: Annotated[
        str | None, typer.Argument(metavar="[IMAGE]", help="Path or URL of an image.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="Search by this text instead of an image.")
    ] = None,
    among: Annotated[
        Among, typer.Option("--in", help="What --text is compared with.")
    ] = Among.images,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours wanted.")] = 10,
    where: WhereOption = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Id that is not to be found; repeatable.")
    ] = None,
    near_duplicate: Annotated[
        float | None,
        typer.Option(
            "--near-duplicate",
            min=-1.0,
            max=1.0,
            help="Leave out rows whose cosine with the image is at least this.",
        ),
    ] = None,
    encoder: StoredEncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Show the rows of a memory that are nearest to an image or a text, best first.

    A text is compared with the images where the memory holds embeddings (build --space
    embedding), and with the rows' texts where these were embedded too (build --search-texts).

    Example:

        rac index search runs/memory photo.jpg -k 5 --where split=train
    """
    from rac.cli.index.embedded import encoder_for
    from rac.errors import InputError
    from retrieval_index import Memory

    if (image is None) == (text is None):
        raise InputError("name an image, or a text with --text; one of the two")
    wanted = conditions(where)
    memory = Memory.open(folder)
    network = encoder_for(memory, encoder)
    if text is not None and among is Among.texts:
        if exclude or near_duplicate is not None:
            raise InputError("--exclude and --near-duplicate need a search among images")
        found = memory.search_texts(network.encode_texts([text]), k, where=wanted)
    else:
        query = _text_query(memory, network, text) if text is not None else None
        if query is None:
            query = _image_query(memory, network, str(image))
        found = memory.search(
            query,
            k,
            exclude=None if exclude is None else [exclude],
            where=wanted,
            near_duplicate=near_duplicate,
        )
    neighbours = _described(memory, found)
    asked = str(image) if text is None else text
    if json:
        kind = "image" if text is None else "text"
        print_json({kind: asked, "memory": str(folder), "neighbours": neighbours})
    elif neighbours:
        _print_neighbours(neighbours, asked)
    else:
        typer.echo(f"{folder}: no row may be found" + _held_by(memory, wanted or {}))


def info(folder: MemoryArgument, json: JsonOption = False) -> None:
    """Say what a memory holds and how it was made.

    Example:

        rac index info runs/memory
    """
    from retrieval_index import Memory

    memory = Memory.open(folder)
    known = [label for label in memory.labels if label is not None]
    facts = {
        "folder": str(folder),
        **memory.manifest.model_dump(exclude={"files", "segments", "format"}),
        "columns": memory.rows.column_names,
        "deleted": memory.dead,
        "segments": len(memory.manifest.segments),
        "labelled": len(known),
        "classes": len(set(known)),
        "bytes": sum(entry.bytes for entry in memory.manifest.all_files()),
    }
    if json:
        print_json(facts)
    else:
        _print_facts(facts, memory)


def verify(
    folder: MemoryArgument,
    recall: Annotated[
        bool,
        typer.Option("--recall", help="Measure the index against the exact search, as it is now."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check every byte of a memory, and that its parts agree; a damaged file is named.

    Example:

        rac index verify runs/memory --recall
    """
    from retrieval_index import Memory, verify_folder

    manifest = verify_folder(folder)
    measured = Memory.open(folder).recall() if recall else None
    if json:
        facts = {"ok": True, "version": manifest.version, "count": manifest.count}
        print_json({**facts, "recall_at_10": measured} if recall else facts)
        return
    typer.echo(f"{folder}: version {manifest.version} is sound, {manifest.count:,} rows")
    if recall and measured is None:
        typer.echo("the search is exact")
    elif measured is not None:
        typer.echo(
            f"recall@10 {measured:.3f} now, {manifest.index.measured_recall or 0:.3f} when it was "
            f"measured, {manifest.plan.recall:g} asked for"
        )
        if measured < manifest.plan.recall:
            typer.echo(f"it has drifted below what was asked for; run: rac index compact {folder}")


def _text_query(memory: Memory, network: Encoder, text: str) -> npt.NDArray[np.float32]:
    from rac.errors import InputError

    if memory.manifest.space != Space.embedding.value:
        raise InputError(
            f"{memory.folder}: holds {memory.manifest.space} features, which no text can be "
            "compared with; build it with --space embedding, or search --in texts"
        )
    return network.encode_texts([text])


def _image_query(memory: Memory, network: Encoder, image: str) -> npt.NDArray[np.float32]:
    import numpy as np

    from rac.errors import InputError
    from rac.images import BadImage, ImageLimits, decode_pixels, read_image_bytes

    # The person who types a path may read it, wherever it lies.
    limits = ImageLimits(allow_outside=True)
    try:
        data = read_image_bytes(image, Path.cwd(), limits)
        decoded = decode_pixels(data, limits, target=network.decode_target)
    except BadImage as fault:
        raise InputError(f"{image}: {fault}") from fault
    features = network.encode_images(np.stack([network.preprocess(decoded)]))
    vector: npt.NDArray[np.float32] = getattr(features, Space(memory.manifest.space).value)
    return vector


def _held_by(memory: Memory, where: dict[str, list[str]]) -> str:
    """Name some values of the columns of which no row holds a wanted one."""
    told = ""
    for column, values in where.items():
        held = sorted(set(memory.rows.column(column).cast("string").drop_null().to_pylist()))
        if not set(values) & set(held):
            more = ", …" if len(held) > _VALUES_SHOWN else ""
            told += f"; {column} holds {', '.join(held[:_VALUES_SHOWN])}{more}"
    return told


def _described(memory: Memory, found: Neighbours) -> list[dict[str, Any]]:
    return [
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


def _print_neighbours(neighbours: list[dict[str, Any]], asked: str) -> None:
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(f"nearest to {asked}"))
    grid.add_column("score", justify="right")
    columns = [c for c in ("id", "label", "text", "source") if any(n[c] for n in neighbours)]
    for column in columns:
        grid.add_column(column, overflow="fold")
    for neighbour in neighbours:
        # Text, not str: a caption in square brackets is not markup.
        cells = [Text(neighbour[column] or "") for column in columns]
        grid.add_row(f"{neighbour['score']:.3f}", *cells)
    Console().print(grid)


def _print_facts(facts: dict[str, Any], memory: Memory) -> None:
    from rac.cli.index.told import index_text

    manifest = memory.manifest
    shown = {
        "memory": facts["folder"],
        "version": f"{manifest.version} of {manifest.created}",
        "kept for going back": manifest.previous or "none",
        "rows": f"{manifest.count:,}",
        "deleted": f"{memory.dead:,} that `rac index compact` removes" if memory.dead else "none",
        "labelled": f"{facts['labelled']:,} in {facts['classes']:,} classes",
        "columns": ", ".join(facts["columns"]),
        "encoder": f"{manifest.encoder_name or '(unnamed)'}, identity {manifest.encoder}",
        "space": f"{manifest.space}, dimension {manifest.dim}",
        "texts": "not embedded" if memory.text_dim is None else f"dimension {memory.text_dim}",
        "metric": manifest.metric,
        "index": index_text(memory),
        "images from": manifest.images_from or "not recorded",
        "size": f"{facts['bytes'] / 1e6:,.1f} MB",
        "format": f"version {manifest.format_version}",
    }
    wide = max(map(len, shown))
    for name, value in shown.items():
        typer.echo(f"{name:<{wide}}  {value}")
