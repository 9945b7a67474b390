"""``rac bench fill``: is the promised precision kept, and what does a job cost?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rac.cli.common import EncoderOption, JsonOption, print_json


def fill(
    encoder: EncoderOption = "mini",
    seeds: Annotated[int, typer.Option(min=1, help="Catalogues with cells blanked anew.")] = 20,
    target: Annotated[float, typer.Option(help="Target precision.")] = 0.95,
    rows: Annotated[
        int, typer.Option(min=0, help="Rows of the speed measurement; 0 leaves it out.")
    ] = 1_000_000,
    attributes: Annotated[int, typer.Option(min=1, help="Attributes of that table.")] = 10,
    missing: Annotated[float, typer.Option(help="Share of its cells that are missing.")] = 0.2,
    cost: Annotated[
        bool, typer.Option("--cost/--no-cost", help="Compare fifty attributes with one.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """Blank half of a real catalogue, fill it, compare; then audit it, and fill a million rows.

    The catalogue is the Grocery Store data set's class tree as columns. For each attribute the
    measured precision and coverage of each seed are told, and the coverage of prompts alone and of
    neighbours alone under the same promise.

    Example:

          rac bench fill --json
    """
    from rac.bench.fill import (
        absent_f1,
        audit_recall,
        grocery_catalogue,
        promise_kept,
        single_sources,
    )
    from rac.bench.fill_speed import attribute_cost, million_rows
    from rac.encoders import load_encoder

    network = load_encoder(encoder)
    catalogue = grocery_catalogue(network, cached=not cost)
    runs = [promise_kept(catalogue, network, seed=seed, target=target) for seed in range(seeds)]
    few = range(min(3, seeds))
    new_items = [
        promise_kept(catalogue, network, seed=seed, target=target, whole_rows=True) for seed in few
    ]
    alone = single_sources(catalogue, network, seeds=few, target=target)
    result: dict[str, Any] = {
        "encoder": network.name,
        "encoder_identity": network.identity,
        "rows": len(catalogue.trunk),
        "attributes": {
            name: {
                "target": target,
                "precision": [run[name].precision for run in runs],
                "coverage": [run[name].coverage for run in runs],
                "kept": sum((run[name].precision or 0.0) >= target for run in runs),
                "whole_rows_blanked": {
                    "precision": [run[name].precision for run in new_items],
                    "coverage": [run[name].coverage for run in new_items],
                },
                "coverage_at_equal_precision": {
                    kind: [kept[name].reach for kept in of_kind]
                    for kind, of_kind in (("fused", runs[: len(few)]), *alone.items())
                },
                "coverage_alone": {
                    kind: [kept[name].coverage for kept in of_kind]
                    for kind, of_kind in alone.items()
                },
            }
            for name in catalogue.cells
        },
        "not_applicable_f1": [absent_f1(run) for run in runs],
        "audit_recall": [audit_recall(catalogue, network, seed=seed) for seed in few],
    }
    if cost:
        seconds = attribute_cost(catalogue, network)
        embedding = catalogue.embed_seconds or 0.0
        result["cost"] = {
            "embedding_s": embedding,
            "fill_s": seconds,
            "ratio": (embedding + seconds["50"]) / (embedding + seconds["1"]),
        }
    if rows:
        large = million_rows(network, rows=rows, attributes=attributes, missing=missing)
        result["large"] = large
        result["rows_per_s"] = large["rows_per_s"]
    if json:
        print_json(result)
        return
    for name, one in result["attributes"].items():
        lowest = min((value for value in one["precision"] if value is not None), default=None)
        said = "nothing filled" if lowest is None else f"lowest precision {lowest:.4f}"
        typer.echo(
            f"{name}: promise kept in {one['kept']} of {seeds}, {said}, coverage "
            f"{min(one['coverage']):.3f} to {max(one['coverage']):.3f}"
        )
    typer.echo(f"not applicable, F1: {result['not_applicable_f1']}")
    typer.echo(f"swapped values among the 5 % most doubtful: {result['audit_recall']}")
    if cost:
        typer.echo(f"fifty attributes cost {result['cost']['ratio']:.3f} times one")
    if rows:
        typer.echo(f"{result['rows_per_s']:,.0f} rows a second from stored embeddings")
