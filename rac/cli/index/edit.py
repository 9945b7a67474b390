"""``rac index add``, ``upsert``, ``delete``, ``compact`` and ``rollback``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
)
from rac.cli.index.options import (
    METRIC_HELP,
    ForceOption,
    IndexKind,
    KeepOption,
    MaxMemoryOption,
    MemoryArgument,
    MetricName,
    Space,
    StoredEncoderOption,
    TableArgument,
    index_plan,
)

if TYPE_CHECKING:
    from rac.cli.index.embedded import EmbeddedRows
    from rac.images import ImageLimits
    from retrieval_index import Memory


def add(
    folder: MemoryArgument,
    table: TableArgument,
    encoder: StoredEncoderOption = None,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    keep: KeepOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Embed the images of a table and add them to a memory, all at once or not at all.

    Example:

        rac index add runs/memory new-products.csv --label category
    """
    from rac.cli.index.told import tell_written
    from retrieval_index import Memory

    memory = Memory.open(folder)
    columns = {"image": image, "label": label, "text": text, "id": id}
    limits = image_limits(image_root, allow_private_hosts)
    rows = rows_for(memory, table, columns, encoder, limits, max_bad=max_bad, keep=keep)
    batch = rows.whole()
    after = memory.add(batch.vectors, batch.rows, texts=batch.texts)
    tell_written(after, f"{rows.rows:,} rows added", json, added=rows.rows, bad_images=rows.bad)


def upsert(
    folder: MemoryArgument,
    table: TableArgument,
    encoder: StoredEncoderOption = None,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    keep: KeepOption = None,
    max_bad: MaxBadOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Add the rows of a table, in the place of those that have the same ids.

    Example:

        rac index upsert runs/memory corrected.csv --label category
    """
    from rac.cli.index.told import tell_written
    from retrieval_index import Memory

    memory = Memory.open(folder)
    columns = {"image": image, "label": label, "text": text, "id": id}
    limits = image_limits(image_root, allow_private_hosts)
    rows = rows_for(memory, table, columns, encoder, limits, max_bad=max_bad, keep=keep)
    batch = rows.whole()
    after = memory.upsert(batch.vectors, batch.rows, texts=batch.texts)
    added = len(after) - len(memory)
    replaced = rows.rows - added
    what = f"{added:,} rows added and {replaced:,} replaced"
    tell_written(after, what, json, added=added, replaced=replaced, bad_images=rows.bad)


def delete(
    folder: MemoryArgument,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids.")] = None,
    ids_from: Annotated[
        Path | None, typer.Option("--ids-from", help="Text file with an id on each line.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Delete rows by id, all at once; an id that is not there stops it.

    The room they take is given back by `rac index compact`.

    Example:

        rac index delete runs/memory item17 item23
    """
    from rac.cli.index.told import tell_written
    from retrieval_index import Memory

    wanted = given_ids(ids, ids_from)
    after = Memory.open(folder).delete(wanted)
    tell_written(after, f"{len(wanted):,} rows deleted", json, deleted=len(wanted))


def compact(
    folder: MemoryArgument,
    metric: Annotated[
        MetricName | None,
        typer.Option(help=f"Fit this metric to the rows as they are now. {METRIC_HELP}"),
    ] = None,
    index: Annotated[
        IndexKind | None, typer.Option("--index", help="Ask for this kind from now on.")
    ] = None,
    max_memory: MaxMemoryOption = None,
    recall: Annotated[
        float | None,
        typer.Option("--recall", min=0.01, max=1.0, help="Least recall@10 from now on."),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option("--latency-ms", min=0.01, help="Largest median time from now on."),
    ] = None,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Write a memory anew without its deleted rows, and build its index anew.

    The stored vectors are used; nothing is embedded again. With --metric the metric is fitted
    again, for instance after many edits.

    Example:

        rac index compact runs/memory --metric whitened
    """
    from rac.cli.index.told import tell_written
    from retrieval_index import Memory

    memory = Memory.open(folder)
    before = memory.manifest.plan
    asked = index_plan(
        index or IndexKind(before.kind),
        max_memory,
        recall or before.recall,
        latency_ms or before.latency_ms,
    )
    if max_memory is None:
        asked = asked.model_copy(update={"max_memory": before.max_memory})
    after = memory.compact(metric=None if metric is None else metric.value, plan=asked, force=force)
    what = f"{memory.dead:,} deleted rows removed"
    tell_written(after, what, json, removed=memory.dead)


def rollback(folder: MemoryArgument, json: JsonOption = False) -> None:
    """Go back to the version before the current one; done again, it comes back.

    The current version may be damaged. Where its manifest is, the newest version that is sound is
    brought back, which may be the current one itself.

    Example:

        rac index rollback runs/memory
    """
    from rac.cli.index.told import tell_written
    from retrieval_index import Memory

    after, before = Memory.gone_back(folder)
    tell_written(after, f"as version {before} was", json)


def rows_for(
    memory: Memory,
    table: str,
    columns: dict[str, str | None],
    encoder: str | None,
    limits: ImageLimits,
    *,
    max_bad: float | None = None,
    keep: list[str] | None = None,
) -> EmbeddedRows:
    """Embed a table as a memory's rows were; ``columns`` are those of ``open_table``."""
    from rac.cli.index.embedded import EmbeddedRows, encoder_for
    from rac.tables import open_table

    return EmbeddedRows(
        open_table(table, **columns),
        encoder_for(memory, encoder),
        Space(memory.manifest.space),
        limits,
        max_bad=max_bad,
        keep=keep,
        texts=memory.text_dim is not None,
        images_from=memory.manifest.images_from,
    )


def given_ids(ids: list[str] | None, ids_from: Path | None) -> list[str]:
    """Give the ids of the command line and of a file, one a line.

    Raises:
        InputError: there are none, or the file cannot be read.
    """
    from rac.errors import InputError

    wanted = list(ids or [])
    if ids_from is not None:
        try:
            if ids_from.exists() and not ids_from.is_file():
                raise InputError(f"{ids_from}: is no file")
            wanted += [line for line in ids_from.read_text("utf-8").splitlines() if line]
        except (OSError, UnicodeDecodeError) as fault:
            raise InputError(f"{ids_from}: cannot be read ({fault})") from fault
    if not wanted:
        raise InputError("name the ids to delete, or a file with --ids-from")
    return wanted
