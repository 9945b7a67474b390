"""Options and arguments that several commands of ``rac index`` share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from retrieval_index import IndexPlan


class MetricName(StrEnum):
    """What makes two images near."""

    cosine = "cosine"
    whitened = "whitened"
    evened = "evened"


class Space(StrEnum):
    """Which of the encoder's outputs a memory holds."""

    embedding = "embedding"
    trunk = "trunk"


class IndexKind(StrEnum):
    """How the rows are indexed."""

    auto = "auto"
    flat = "flat"
    hnsw = "hnsw"
    ivf = "ivf"
    ivfpq = "ivfpq"


METRIC_HELP = (
    "cosine; whitened: fitted to the labels, better for fine classes; evened: the same on the "
    "square roots of trunk features, as `rac train` does."
)

MemoryArgument = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the memory.")]
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="Table of items with images.")]
StoredEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        help="Encoder for the new images; by default the one that made the memory; a folder must "
        "be named.",
    ),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        help="Column to keep beside each row, for --where at search time; repeatable.",
        metavar="COLUMN",
    ),
]
IndexOption = Annotated[
    IndexKind,
    typer.Option("--index", help="auto chooses by rows, memory, recall and latency."),
]
MaxMemoryOption = Annotated[
    str | None,
    typer.Option("--max-memory", help="RAM that the index may take, for instance 500MB or 4GiB."),
]
RecallOption = Annotated[
    float,
    typer.Option("--recall", min=0.01, max=1.0, help="Least recall@10 against the exact search."),
]
LatencyOption = Annotated[
    float,
    typer.Option("--latency-ms", min=0.01, help="Largest median time of a single query."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Publish an index that misses recall or latency.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Find only rows whose COLUMN holds one of the values; repeatable, all must hold.",
        metavar="COLUMN=VALUE[,VALUE]",
    ),
]
NearOption = Annotated[
    float,
    typer.Option(
        "--threshold",
        min=-1.0,
        max=1.0,
        help="Cosine, before the metric, from which on two images count as nearly the same.",
    ),
]


def index_plan(
    kind: IndexKind, max_memory: str | None, recall: float, latency_ms: float
) -> IndexPlan:
    """Turn the options into what is asked of the index."""
    from rac.cli.index.sizes import byte_count
    from retrieval_index import IndexPlan

    return IndexPlan(
        kind=kind.value,
        max_memory=None if max_memory is None else byte_count(max_memory),
        recall=recall,
        latency_ms=latency_ms,
    )


def conditions(where: list[str] | None) -> dict[str, list[str]] | None:
    """Turn ``COLUMN=VALUE,VALUE`` options into values by column.

    Raises:
        InputError: an option has no ``=``.
    """
    from rac.errors import InputError

    if not where:
        return None
    wanted: dict[str, list[str]] = {}
    for condition in where:
        column, equals, values = condition.partition("=")
        if not equals or not column:
            raise InputError(f"--where {condition!r}: write COLUMN=VALUE or COLUMN=VALUE,VALUE")
        wanted.setdefault(column, []).extend(values.split(","))
    return wanted
