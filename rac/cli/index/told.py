"""What the commands of ``rac index`` say when they are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from rac.cli.common import print_json

if TYPE_CHECKING:
    from retrieval_index import Memory


def tell_written(memory: Memory, what: str, json: bool, **facts: Any) -> None:
    """Say what was published; ``what`` is the sentence's middle, ``facts`` are for machines."""
    made = memory.manifest
    if json:
        print_json(
            {
                "folder": str(memory.folder),
                "version": made.version,
                **facts,
                "count": len(memory),
                "dim": memory.dim,
                "metric": memory.metric.name,
                "space": made.space,
                "encoder": made.encoder,
                "index": made.index.model_dump(),
            }
        )
        return
    typer.echo(
        f"{memory.folder}: version {made.version}, {what}, "
        f"{len(memory):,} in all ({made.space}, {memory.metric.name})"
    )
    if made.index.kind != "flat":
        typer.echo(f"index: {index_text(memory)}")


def index_text(memory: Memory) -> str:
    """Describe the index in a line."""
    from retrieval_index.planning import exact_is_enough

    recipe = memory.manifest.index
    if recipe.kind == "flat":
        enough = exact_is_enough(len(memory), memory.manifest.searchable_dim, memory.manifest.plan)
        return "flat, exact" + ("" if enough else "; outgrown, rac index compact builds a fast one")
    told = f"{recipe.factory}, recall@10 {recipe.measured_recall:.3f}"
    if recipe.median_ms is not None:
        told += f", {recipe.median_ms:.2f} ms a query"
    plan = memory.manifest.plan
    if (recipe.measured_recall or 0.0) < plan.recall:
        told += f"; below the {plan.recall:g} that was asked for"
    if (recipe.median_ms or 0.0) > plan.latency_ms:
        told += f"; slower than the {plan.latency_ms:g} ms that were asked for"
    if recipe.edited:
        told += f"; {recipe.edited:,} rows changed since it was measured"
    return told
