"""``rac index duplicates``, ``try`` and ``harmful``: what rows do to each other."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rac.cli.common import (
    IdOption,
    ImageOption,
    ImageRootOption,
    JsonOption,
    LabelOption,
    PrivateHostsOption,
    TextOption,
    image_limits,
    print_json,
)
from rac.cli.index.options import KeepOption, MemoryArgument, NearOption, StoredEncoderOption

if TYPE_CHECKING:
    from rac.memory_effect import EditEffect

_SHOWN = 20


def duplicates(
    folder: MemoryArgument,
    threshold: NearOption = 0.98,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the rows that only repeat an earlier one.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the rows that show nearly the same, and where their labels contradict each other.

    Example:

        rac index duplicates runs/memory --threshold 0.98
    """
    import numpy as np

    from retrieval_index import Memory, duplicate_pairs, repeated

    memory = Memory.open(folder)
    pairs = duplicate_pairs(memory, threshold)
    gone = [memory.ids[row] for row in np.flatnonzero(repeated(pairs, len(memory)))]
    listed = [
        {
            "first": memory.ids[a],
            "second": memory.ids[b],
            "cosine": round(float(cosine), 6),
            "labels": [memory.labels[a], memory.labels[b]],
            "contradict": memory.labels[a] != memory.labels[b],
        }
        for a, b, cosine in zip(pairs.first, pairs.second, pairs.cosines, strict=True)
    ]
    if delete and gone:
        memory = memory.delete(gone)
    contradicting = sum(bool(pair["contradict"]) for pair in listed)
    if json:
        facts = {"folder": str(folder), "threshold": threshold, "complete": pairs.complete}
        print_json({**facts, "pairs": listed, "repeated": gone, "deleted": delete})
        return
    for pair in listed[:_SHOWN]:
        mark = f"  {pair['labels'][0]} / {pair['labels'][1]}" if pair["contradict"] else ""
        typer.echo(f"{pair['cosine']:.4f}  {pair['first']}  {pair['second']}{mark}")
    if len(listed) > _SHOWN:
        typer.echo(f"… and {len(listed) - _SHOWN:,} more; --json lists all")
    typer.echo(
        f"{len(listed):,} pairs, {contradicting:,} of them with different labels; "
        f"{len(gone):,} rows only repeat an earlier one" + (", deleted" if delete else "")
    )
    if not pairs.complete:
        typer.echo("each row was compared with its 64 nearest, so pairs may be missing")


def try_edit(
    folder: MemoryArgument,
    add: Annotated[
        str | None, typer.Option("--add", help="Table whose rows would be added or replaced.")
    ] = None,
    delete: Annotated[
        list[str] | None, typer.Option("--delete", help="Id that would be deleted; repeatable.")
    ] = None,
    ids_from: Annotated[
        Path | None, typer.Option("--ids-from", help="Text file with ids that would be deleted.")
    ] = None,
    near_duplicate: Annotated[
        float,
        typer.Option(
            "--near-duplicate",
            min=-1.0,
            max=1.0,
            help="Cosine from which on a row must not vouch for another.",
        ),
    ] = 0.98,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Judge at most so many rows.")
    ] = None,
    encoder: StoredEncoderOption = None,
    image: ImageOption = None,
    label: LabelOption = None,
    text: TextOption = None,
    id: IdOption = None,
    keep: KeepOption = None,
    image_root: ImageRootOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    json: JsonOption = False,
) -> None:
    """Say which classes would gain and lose by an edit; nothing is changed.

    Every labelled row that is there before and after is classified by its neighbours among the
    others, in the memory as it is and as the edit would leave it. A metric that is fitted to labels
    is fitted again without the rows that it judges, in five folds.

    Example:

        rac index try runs/memory --add new-products.csv --label category --delete item17
    """
    from rac.cli.index.edit import given_ids, rows_for
    from rac.errors import InputError
    from rac.memory_effect import edit_effect
    from retrieval_index import Memory

    if add is None and not delete and ids_from is None:
        raise InputError("name what to try: --add TABLE, --delete ID, or both")
    memory = Memory.open(folder)
    gone = given_ids(delete, ids_from) if delete or ids_from is not None else []
    batch = None
    if add is not None:
        columns = {"image": image, "label": label, "text": text, "id": id}
        limits = image_limits(image_root, allow_private_hosts)
        batch = rows_for(memory, add, columns, encoder, limits, keep=keep).whole()
    after = memory.preview(add=batch, delete=gone)
    effect = edit_effect(memory, after, near_duplicate=near_duplicate, most=rows)
    if json:
        classes = [{**asdict(one), "gain": one.gain} for one in effect.classes]
        print_json({"folder": str(folder), **asdict(effect), "classes": classes})
    else:
        _print_effect(effect)


def harmful(
    folder: MemoryArgument,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours that a row looks at.")] = 10,
    most: Annotated[int, typer.Option("--most", min=1, help="Rows to list.")] = 20,
    json: JsonOption = False,
) -> None:
    """List the rows that mislead others most; wrong labels float up.

    A row misleads another where it is among its neighbours with another label.

    Example:

        rac index harmful runs/memory --most 50
    """
    from rac.memory_harm import harmful_rows
    from retrieval_index import Memory

    worst = harmful_rows(Memory.open(folder), k=k, most=most)
    if json:
        print_json({"folder": str(folder), "rows": [asdict(row) for row in worst]})
        return
    if not worst:
        typer.echo(f"{folder}: no row misleads another")
    for row in worst:
        doubt = f", neighbours say {row.others_say}" if row.others_say != row.label else ""
        picture = f"  {row.source}" if row.source not in (None, row.id) else ""
        typer.echo(
            f"{row.id}: labelled {row.label}{doubt}; misleads {row.misled:,}, "
            f"helps {row.helped:,}{picture}"
        )


def _print_effect(effect: EditEffect) -> None:
    if effect.before is None or effect.after is None:
        typer.echo("no labelled row is there before and after, so nothing can be judged")
    else:
        typer.echo(
            f"{effect.judged:,} rows judged by the others: {effect.before:.3f} right before, "
            f"{effect.after:.3f} after"
        )
    for one in effect.classes:
        accuracy = "not judged"
        if one.before is not None and one.after is not None:
            accuracy = f"{one.before:.3f} -> {one.after:.3f} ({one.gain:+.3f})"
        typer.echo(f"{one.label}: {accuracy}, rows {one.rows_before:,} -> {one.rows_after:,}")
    typer.echo(f"{effect.unchanged:,} classes do not change; nothing was published")
